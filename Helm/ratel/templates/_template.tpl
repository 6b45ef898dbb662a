{{- /*
What `ratel webhook` injects: the container of the chart's own Deployment, with ${…} where a pod's
annotations decide.
*/ -}}
{{- define "ratel.webhook.template" -}}
{{- $defaults := .Values.webhook.defaults -}}
{{- $sidecar := dict "root" . "backendPort" "${backend-port}" "padding" "${padding}"
  "policyKey" "policy.yaml" "policyConfigMap" "${policy}" "tlsSecret" "" -}}
version: 1
# true: an init container with `restartPolicy: Always`; false: an ordinary container.
native: {{ .Values.sidecar.native }}
# What a pod may set as ratel.dev/NAME.
annotations:
  backend-port: {kind: port, default: {{ $defaults.backendPort | toString | quote }}}
  policy: {kind: name, default: {{ $defaults.policy | quote }}}
  padding: {one_of: ["off", "records", "tick"], default: {{ $defaults.padding | quote }}}
container:
  {{- include "ratel.sidecar" $sidecar | nindent 2 }}
volumes:
  {{- include "ratel.sidecar.volumes" $sidecar | nindent 2 }}
{{- if .Values.drain.enabled }}
# Given to containers without a preStop of their own.
backend_pre_stop:
  {{- include "ratel.backendPreStop" . | nindent 2 }}
{{- end }}
minimum_termination_grace_period_seconds: {{ include "ratel.terminationGracePeriodSeconds" . }}
{{- end -}}
