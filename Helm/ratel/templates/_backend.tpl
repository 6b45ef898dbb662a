{{- /* The images of each kind, where the values name no other: the projects' own. */ -}}
{{- define "ratel.backend.repositories" -}}
vllm: docker.io/vllm/vllm-openai
tgi: ghcr.io/huggingface/text-generation-inference
sglang: docker.io/lmsysorg/sglang
llama-cpp: ghcr.io/ggml-org/llama.cpp
{{- end -}}

{{- define "ratel.backend.image" -}}
{{- $backend := .Values.backend -}}
{{- $known := include "ratel.backend.repositories" . | fromYaml -}}
{{- $repository := default (get $known $backend.kind) $backend.image.repository -}}
{{- include "ratel.imageReference" (dict "repository" $repository "tag" $backend.image.tag
  "digest" $backend.image.digest) -}}
{{- end -}}

{{- /* Each listens on 127.0.0.1: what leaves the pod, leaves it through Ratel. */ -}}
{{- define "ratel.backend.command" -}}
{{- $backend := .Values.backend -}}
{{- $port := $backend.port | toString | quote -}}
{{- if eq $backend.kind "vllm" -}}
command: [vllm, serve]
args:
  - {{ $backend.model | quote }}
  - --host=127.0.0.1
  - --port={{ $backend.port }}
{{- else if eq $backend.kind "tgi" -}}
args:
  - --model-id={{ $backend.model }}
  - --hostname=127.0.0.1
  - --port={{ $backend.port }}
{{- else if eq $backend.kind "sglang" -}}
command: [python3, -m, sglang.launch_server]
args:
  - --model-path={{ $backend.model }}
  - --host=127.0.0.1
  - --port={{ $backend.port }}
{{- else if eq $backend.kind "llama-cpp" -}}
args:
  - --model
  - {{ $backend.model | quote }}
  - --host
  - 127.0.0.1
  - --port
  - {{ $port }}
{{- else -}}
{{- with $backend.command }}
command:
  {{- range . }}
  - {{ . | quote }}
  {{- end }}
{{- end }}
{{- if $backend.args }}
args:
{{- end }}
{{- end }}
{{- range $backend.args }}
  - {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "ratel.backend" -}}
{{- $backend := .Values.backend -}}
name: backend
image: {{ include "ratel.backend.image" . }}
imagePullPolicy: {{ $backend.image.pullPolicy }}
{{ include "ratel.backend.command" . | trim }}
{{- with $backend.env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $backend.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .Values.drain.enabled }}
lifecycle:
  preStop:
    {{- include "ratel.backendPreStop" . | nindent 4 }}
{{- end }}
{{- with $backend.livenessProbe }}
livenessProbe:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with (include "ratel.backend.resources" . | fromYaml) }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $backend.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if or $backend.sharedMemory $backend.volumeMounts }}
volumeMounts:
  {{- if $backend.sharedMemory }}
  - {name: shared-memory, mountPath: /dev/shm}
  {{- end }}
  {{- with $backend.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "ratel.backend.resources" -}}
{{- $backend := .Values.backend -}}
{{- $resources := deepCopy $backend.resources -}}
{{- if gt (int $backend.gpu.count) 0 -}}
{{- $gpus := dict $backend.gpu.resource (int $backend.gpu.count) -}}
{{- $resources = set $resources "limits" (merge (dict) $gpus (default (dict) $resources.limits)) -}}
{{- end -}}
{{- include "ratel.resources" $resources -}}
{{- end -}}
