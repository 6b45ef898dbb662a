{{- /* On which nodes pods run. */ -}}
{{- define "ratel.placement" -}}
{{- $spec := .spec -}}
{{- with $spec.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $spec.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $spec.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $spec.topologySpreadConstraints }}
{{- $selector := include "ratel.selector" .place | fromYaml }}
topologySpreadConstraints:
  {{- range $spec.topologySpreadConstraints }}
  {{- $own := dict "labelSelector" (dict "matchLabels" $selector) }}
  - {{ merge (dict) . $own | toYaml | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- end -}}
