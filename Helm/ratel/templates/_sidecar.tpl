{{- /*
The sidecar and its volumes: one text for the chart's own Deployment and for the template from which
the webhook injects. What differs is in the arguments: root, backendPort, policyKey, policyConfigMap,
padding and tlsSecret, which hold ${…} in the webhook's template.
*/ -}}
{{- define "ratel.sidecar" -}}
{{- $values := .root.Values -}}
name: ratel
image: {{ include "ratel.image" .root }}
imagePullPolicy: {{ $values.image.pullPolicy }}
args:
  {{- include "ratel.sidecar.arguments" . | nindent 2 }}
{{- with (include "ratel.sidecar.env" . | trim) }}
env:
  {{- . | nindent 2 }}
{{- end }}
ports:
  - {name: attested, containerPort: {{ $values.ratel.port }}, protocol: TCP}
  - {name: ratel-admin, containerPort: {{ $values.ratel.adminPort }}, protocol: TCP}
{{- if $values.probes.enabled }}
{{- include "ratel.sidecar.probes" .root | nindent 0 }}
{{- end }}
resources:
  {{- include "ratel.sidecar.resources" .root | nindent 2 }}
securityContext:
  {{- include "ratel.sidecar.securityContext" .root | nindent 2 }}
{{- /* Termination messages are for backends; a refusal to start is in the log. */}}
volumeMounts:
  {{- /* The whole folder, never a subPath: that would not follow the ConfigMap's changes. */}}
  - {name: ratel-policy, mountPath: /etc/ratel/policy, readOnly: true}
  - {name: ratel-cache, mountPath: /var/cache/ratel}
  {{- if .tlsSecret }}
  - {name: ratel-tls, mountPath: /etc/ratel/tls, readOnly: true}
  {{- end }}
  {{- with (include "ratel.devices.mounts" .root | trim) }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with $values.ratel.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "ratel.sidecar.arguments" -}}
{{- $values := .root.Values -}}
{{- $ratel := $values.ratel -}}
{{- $address := ternary "[::]" $ratel.address (eq $ratel.address "::") -}}
- serve
- --listen={{ $address }}:{{ $ratel.port }}
- --admin={{ $address }}:{{ $ratel.adminPort }}
- --backend=http://127.0.0.1:{{ .backendPort }}
- --policy=/etc/ratel/policy/{{ .policyKey }}
- --attester={{ $values.attester }}
- --padding={{ .padding }}
- --access-log={{ $ratel.accessLog }}
- --log-format={{ $ratel.logFormat }}
- --log-level={{ $ratel.logLevel }}
- --workers={{ $ratel.workers }}
- --collateral-cache=/var/cache/ratel
- --grace={{ $values.drain.longestStreamSeconds }}s
{{- if $values.drain.enabled }}
- --admin-drain=on
- --drain-delay={{ $values.drain.delaySeconds }}s
- --drain-end={{ $values.drain.endSeconds }}s
{{- end }}
{{- with (include "ratel.devices.arguments" .root | trim) }}
{{ . }}
{{- end }}
{{- if .tlsSecret }}
- --tls-certificate=/etc/ratel/tls/tls.crt
- --tls-key=/etc/ratel/tls/tls.key
{{- end }}
{{- range $ratel.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "ratel.sidecar.env" -}}
{{- include "ratel.devices.env" .root -}}
{{- with .root.Values.ratel.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Startup asks /healthz: a native sidecar that waited for its backend would never see it start. */ -}}
{{- define "ratel.sidecar.probes" -}}
{{- $port := .Values.ratel.adminPort -}}
startupProbe:
  httpGet: {path: /healthz, port: {{ $port }}}
  periodSeconds: 1
  # A slow TPM takes 10 s or more to make its attestation key.
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /readyz, port: {{ $port }}}
  periodSeconds: 2
  failureThreshold: 1
livenessProbe:
  httpGet: {path: /healthz, port: {{ $port }}}
  periodSeconds: 10
  failureThreshold: 3
{{- end -}}

{{- define "ratel.sidecar.resources" -}}
{{- include "ratel.devices.resources" (dict "root" . "resources" .Values.ratel.resources) -}}
{{- end -}}

{{- define "ratel.sidecar.securityContext" -}}
{{- $devices := .Values.devices -}}
{{- if $devices.privileged -}}
privileged: true
readOnlyRootFilesystem: true
runAsUser: 0
runAsGroup: 0
{{- else -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
{{- if $devices.configfsTSM }}
# configfs lets root alone make reports; root without capabilities is enough.
runAsUser: 0
runAsGroup: 0
{{- else }}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}
{{- end -}}

{{- define "ratel.sidecar.volumes" -}}
- name: ratel-policy
  configMap: {name: {{ .policyConfigMap | quote }}}
# A platform's collateral is some 100 KiB; fetched again where it is lost.
- name: ratel-cache
  emptyDir: {sizeLimit: 64Mi}
{{- with .tlsSecret }}
- name: ratel-tls
  secret: {secretName: {{ . }}}
{{- end }}
{{- with (include "ratel.devices.volumes" .root | trim) }}
{{ . }}
{{- end }}
{{- end -}}
