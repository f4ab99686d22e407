{{/* What no schema can say: values that do not fit together. */}}
{{- define "berth.checks" -}}
{{- $settings := .Values.settings -}}
{{- if and (eq .Values.image.tag "latest") (not .Values.image.digest) -}}
{{- fail "image.tag: latest is another image each day: name a version, or image.digest" -}}
{{- end -}}
{{- range $label, $_ := .Values.commonLabels -}}
{{- if regexMatch "^(app\\.kubernetes\\.io|helm\\.sh)/" $label -}}
{{- fail (printf "commonLabels: %s is the chart's own" $label) -}}
{{- end -}}
{{- end -}}
{{- if hasKey ($settings.shutdown | default dict) "grace_period" -}}
{{- fail "settings.shutdown.grace_period is terminationGracePeriodSeconds: set that" -}}
{{- end -}}
{{- $delay := dig "shutdown" "drain_delay" "0s" $settings -}}
{{- $timeout := dig "shutdown" "timeout" "5s" $settings -}}
{{- $request := dig "server" "request_timeout" "30s" $settings -}}
{{- $needed := add (include "berth.milliseconds" $delay | atoi) (include "berth.milliseconds" $timeout | atoi) 1500 -}}
{{- if ge $needed (mul .Values.terminationGracePeriodSeconds 1000) -}}
{{- fail (printf "terminationGracePeriodSeconds: %d is too short: it must be more than settings.shutdown.drain_delay (%s), settings.shutdown.timeout (%s) and 1.5 s together" (int .Values.terminationGracePeriodSeconds) $delay $timeout) -}}
{{- end -}}
{{- if ge (include "berth.milliseconds" $request | atoi) (include "berth.milliseconds" $timeout | atoi) -}}
{{- fail (printf "settings.server.request_timeout: %s must be less than settings.shutdown.timeout (%s), or a stop cuts off what a handler may take" $request $timeout) -}}
{{- end -}}
{{- range list (dig "server" "port" 8080 $settings) (dig "management" "port" 9090 $settings) -}}
{{- if eq (int .) 0 -}}
{{- fail "settings.server.port and settings.management.port: 0 is a port that nobody can know" -}}
{{- end -}}
{{- end -}}
{{- if and (ne .Values.metrics.scrape "none") (not (dig "metrics" "enabled" true $settings)) -}}
{{- fail (printf "metrics.scrape: %s, but settings.metrics.enabled is false: set metrics.scrape to none" .Values.metrics.scrape) -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (ge (include "berth.milliseconds" $request | atoi) (include "berth.milliseconds" .Values.httpRoute.backendRequestTimeout | atoi)) -}}
{{- fail (printf "httpRoute.backendRequestTimeout: %s must be more than settings.server.request_timeout (%s)" .Values.httpRoute.backendRequestTimeout $request) -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (gt (include "berth.milliseconds" .Values.httpRoute.backendRequestTimeout | atoi) (include "berth.milliseconds" .Values.httpRoute.requestTimeout | atoi)) -}}
{{- fail (printf "httpRoute.requestTimeout: %s must be no less than httpRoute.backendRequestTimeout (%s)" .Values.httpRoute.requestTimeout .Values.httpRoute.backendRequestTimeout) -}}
{{- end -}}
{{- if and .Values.certificate.enabled (not (and .Values.ingress.enabled .Values.ingress.tlsSecretName)) -}}
{{- fail "certificate.enabled: the certificate is for the Ingress: set ingress.enabled and ingress.tlsSecretName, too" -}}
{{- end -}}
{{- with .Values.autoscaling -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- fail (printf "autoscaling.minReplicas: %d is more than autoscaling.maxReplicas (%d)" (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.service.nodePort (eq .Values.service.type "ClusterIP") -}}
{{- fail "service.nodePort: a Service of type ClusterIP has none: set service.type, too" -}}
{{- end -}}
{{- end }}

{{/* A file of the chart, which is a symbolic link in the repository; where there are none, Git leaves a line with its target. */}}
{{- define "berth.file" -}}
{{- $text := (index . 0).Files.Get (index . 1) -}}
{{- if not (contains "\n" $text) -}}
{{- fail (printf "%s is missing: the chart was taken from a checkout without symbolic links" (index . 1)) -}}
{{- end -}}
{{- $text -}}
{{- end }}
