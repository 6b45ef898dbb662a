{{- /* How the root of trust reaches a container of Ratel: the sidecar's, and the router's. */ -}}
{{- define "ratel.devices.arguments" -}}
{{- with .Values.tcti }}
- {{ printf "--tcti=%s" . | quote }}
{{- end }}
{{- with .Values.pcrs }}
- {{ printf "--pcrs=%s" . | quote }}
{{- end }}
{{- if .Values.devices.configfsTSM }}
- --tsm-reports=/run/tsm/report
{{- end }}
{{- end -}}

{{- define "ratel.devices.env" -}}
{{- if contains "nvidia" .Values.attester }}
{{- /* NVIDIA's container runtime brings in its management library and every GPU's device. */}}
- {name: NVIDIA_VISIBLE_DEVICES, value: all}
- {name: NVIDIA_DRIVER_CAPABILITIES, value: utility}
{{- end }}
{{- end -}}

{{- define "ratel.devices.resources" -}}
{{- $resources := deepCopy .resources -}}
{{- with .root.Values.devices.resources -}}
{{- $limits := merge (dict) . (default (dict) $resources.limits) -}}
{{- $resources = set $resources "limits" $limits -}}
{{- end -}}
{{- include "ratel.resources" $resources -}}
{{- end -}}

{{- define "ratel.devices.mounts" -}}
{{- if .Values.devices.configfsTSM }}
{{- /* Not below /sys, where containerd's AppArmor profile lets nobody write. */}}
- {name: ratel-tsm, mountPath: /run/tsm/report}
{{- end }}
{{- range $index, $path := .Values.devices.hostPath }}
- {name: ratel-device-{{ $index }}, mountPath: {{ $path }}}
{{- end }}
{{- end -}}

{{- define "ratel.devices.volumes" -}}
{{- /*
In a pod of Kata the runtime takes what lies under /sys and /dev from the guest, and the node's need
not be of the kind that the guest's is.
*/ -}}
{{- $guest := .Values.runtimeClass.name -}}
{{- if .Values.devices.configfsTSM }}
- name: ratel-tsm
  hostPath: {path: /sys/kernel/config/tsm/report{{ if not $guest }}, type: Directory{{ end }}}
{{- end }}
{{- range $index, $path := .Values.devices.hostPath }}
- name: ratel-device-{{ $index }}
  hostPath: {path: {{ $path }}{{ if not $guest }}, type: CharDevice{{ end }}}
{{- end }}
{{- end -}}
