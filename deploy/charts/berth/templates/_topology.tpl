{{/* Each revision for itself, or the pods of the last one bend the spread of the next. */}}
{{- define "berth.topologySpread" -}}
{{- $own := .Values.topologySpreadConstraints -}}
{{- $nodes := .Values.topologySpread.nodes -}}
{{- $zones := .Values.topologySpread.zones -}}
{{- if or $own (ne $nodes "None") (ne $zones "None") -}}
topologySpreadConstraints:
  {{- if $own }}
  {{- toYaml $own | nindent 2 }}
  {{- else }}
  {{- if ne $nodes "None" }}
  - topologyKey: kubernetes.io/hostname
    maxSkew: 1
    whenUnsatisfiable: {{ $nodes }}
    # A node that is being drained, or has a taint, is none that must have a pod first.
    nodeTaintsPolicy: Honor
    labelSelector:
      matchLabels:
        {{- include "berth.selectorLabels" . | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
  {{- if ne $zones "None" }}
  - topologyKey: topology.kubernetes.io/zone
    maxSkew: 1
    whenUnsatisfiable: {{ $zones }}
    labelSelector:
      matchLabels:
        {{- include "berth.selectorLabels" . | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
  {{- end }}
{{- end -}}
{{- end }}
