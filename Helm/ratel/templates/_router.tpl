{{- define "ratel.router.name" -}}
{{- printf "%s-router" (include "ratel.fullname" .) -}}
{{- end -}}

{{- define "ratel.router.configMap" -}}
{{- default (include "ratel.router.name" .) .Values.router.existingConfigMap -}}
{{- end -}}

{{- define "ratel.router.container" -}}
{{- $router := .Values.router -}}
name: router
image: {{ include "ratel.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  {{- include "ratel.router.arguments" . | nindent 2 }}
{{- with (include "ratel.router.env" . | trim) }}
env:
  {{- . | nindent 2 }}
{{- end }}
ports:
  - {name: attested, containerPort: {{ .Values.ratel.port }}, protocol: TCP}
  - {name: ratel-admin, containerPort: {{ .Values.ratel.adminPort }}, protocol: TCP}
{{- if .Values.probes.enabled }}
{{- include "ratel.sidecar.probes" . | nindent 0 }}
{{- end }}
resources:
  {{- include "ratel.devices.resources" (dict "root" . "resources" $router.resources) | nindent 2 }}
securityContext:
  {{- include "ratel.sidecar.securityContext" . | nindent 2 }}
volumeMounts:
  {{- /* The whole folder, never a subPath: that would not follow the ConfigMap's changes. */}}
  - {name: ratel-router, mountPath: /etc/ratel/router, readOnly: true}
  - {name: state, mountPath: /var/lib/ratel}
  - {name: ratel-cache, mountPath: /var/cache/ratel}
  {{- if $router.tls.existingSecret }}
  - {name: ratel-tls, mountPath: /etc/ratel/tls, readOnly: true}
  {{- end }}
  {{- with (include "ratel.devices.mounts" . | trim) }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "ratel.router.arguments" -}}
{{- $ratel := .Values.ratel -}}
{{- $router := .Values.router -}}
{{- $address := ternary "[::]" $ratel.address (eq $ratel.address "::") -}}
- route
- --listen={{ $address }}:{{ $ratel.port }}
- --admin={{ $address }}:{{ $ratel.adminPort }}
- --policy=/etc/ratel/router/policy.yaml
- --providers=/etc/ratel/router/route.yaml
- --state=/var/lib/ratel/state
- --export-period={{ $router.exportPeriod }}
- --challenge={{ $router.challenge }}
- --attester={{ .Values.attester }}
- --padding={{ $ratel.padding }}
- --access-log={{ $ratel.accessLog }}
- --log-format={{ $ratel.logFormat }}
- --log-level={{ $ratel.logLevel }}
- --workers={{ $router.workers }}
- --collateral-cache=/var/cache/ratel
- --drain-delay={{ .Values.drain.delaySeconds }}s
- --grace={{ .Values.drain.longestStreamSeconds }}s
{{- with (include "ratel.devices.arguments" . | trim) }}
{{ . }}
{{- end }}
{{- if $router.tls.existingSecret }}
- --tls-certificate=/etc/ratel/tls/tls.crt
- --tls-key=/etc/ratel/tls/tls.key
{{- end }}
{{- range $router.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "ratel.router.env" -}}
{{- with .Values.router.ledger }}
{{- if .existingSecret }}
{{- /* Never an argument: whoever lists processes would read the password. */}}
- name: RATEL_LEDGER
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .key }}}}
{{- end }}
{{- end }}
{{- include "ratel.devices.env" . -}}
{{- with .Values.router.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
