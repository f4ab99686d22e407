{{/* The name of everything: the release's, with the chart's in it. */}}
{{- define "berth.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 49 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 49 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* What selects the pods; it can never be changed. */}}
{{- define "berth.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end }}

{{/* The labels of a pod: without the chart's version, which would replace the pods for nothing. */}}
{{- define "berth.podLabels" -}}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: {{ .Chart.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* The annotations of a pod; podAnnotations win over them. */}}
{{- define "berth.podAnnotations" -}}
kubectl.kubernetes.io/default-container: {{ .Chart.Name }}
{{- if eq .Values.metrics.scrape "annotations" }}
prometheus.io/scrape: "true"
prometheus.io/port: {{ include "berth.metricsPortNumber" . | quote }}
prometheus.io/path: {{ dig "metrics" "path" "/metrics" .Values.settings | quote }}
{{- end }}
{{- if .Values.rollOnSettingsChange }}
checksum/settings: {{ include "berth.settings" . | sha256sum }}
{{- end }}
{{- end }}

{{/* `metadata` of an object: (list . NAME COMPONENT LABELS ANNOTATIONS), of which the last three may be left out. */}}
{{- define "berth.metadata" -}}
{{- $root := index . 0 -}}
{{- $labels := include "berth.podLabels" $root | fromYaml -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- if gt (len .) 2 }}{{ with index . 2 }}{{ $_ := set $labels "app.kubernetes.io/component" . }}{{ end }}{{ end -}}
{{- if gt (len .) 3 }}{{ $labels = mergeOverwrite $labels (deepCopy (index . 3)) }}{{ end -}}
{{- $annotations := deepCopy $root.Values.commonAnnotations -}}
{{- if gt (len .) 4 }}{{ $annotations = mergeOverwrite $annotations (deepCopy (index . 4)) }}{{ end -}}
metadata:
  name: {{ index . 1 }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- toYaml $labels | nindent 4 }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "berth.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "berth.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end }}

{{- define "berth.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The name of the port that has the metrics. */}}
{{- define "berth.metricsPort" -}}
{{- ternary "management" "http" (hasKey (.Values.settings.management | default dict) "port") -}}
{{- end }}

{{/* The name of the port where liveness is asked: the management port, which answers however many clients there are;
     unless there is none, or none but the pod itself reaches it. */}}
{{- define "berth.livenessPort" -}}
{{- $host := dig "host" "" (.Values.settings.management | default dict) | default "" -}}
{{- $isLocal := regexMatch "^(127\\.|\\[?::1\\]?$|(.*\\.)?localhost$)" $host -}}
{{- ternary "http" (include "berth.metricsPort" .) $isLocal -}}
{{- end }}

{{- define "berth.metricsPortNumber" -}}
{{- if eq (include "berth.metricsPort" .) "management" -}}
{{- .Values.settings.management.port -}}
{{- else -}}
{{- dig "server" "port" 8080 .Values.settings -}}
{{- end -}}
{{- end }}

{{/* The settings file. */}}
{{- define "berth.settings" -}}
{{- $settings := deepCopy .Values.settings -}}
{{- $shutdown := $settings.shutdown | default dict -}}
{{- $_ := set $shutdown "grace_period" (printf "%ds" (int .Values.terminationGracePeriodSeconds)) -}}
{{- $_ := set $settings "shutdown" $shutdown -}}
{{- toYaml $settings -}}
{{- end }}

{{/* Who may do what in a container: nothing. */}}
{{- define "berth.containerSecurityContext" -}}
runAsNonRoot: true
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "berth.podSecurityContext" -}}
{{- with .Values.podSecurityContext }}
{{- toYaml . }}
{{ end -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* A duration of the settings, in milliseconds. */}}
{{- define "berth.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+ *(ms|s|m|h|d)" . -1 -}}
{{- $sum = add $sum (mul (regexFind "[0-9]+" . | atoi) (get $units (regexFind "[a-z]+" .))) -}}
{{- end -}}
{{- $sum -}}
{{- end }}
