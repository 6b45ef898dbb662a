{{- define "ratel.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* 50 and 63: a name of Kubernetes has 63 characters, and "-webhook" and the like follow. */ -}}
{{- define "ratel.webhook.name" -}}
{{- printf "%s-webhook" (include "ratel.fullname" .) -}}
{{- end -}}

{{- /* Cluster-wide names carry the namespace: two releases of one name must not meet. */ -}}
{{- define "ratel.webhook.clusterName" -}}
{{- printf "%s-%s" (include "ratel.webhook.name" .) .Release.Namespace -}}
{{- end -}}

{{- define "ratel.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "ratel.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "ratel.policyConfigMap" -}}
{{- default (printf "%s-policy" (include "ratel.fullname" .)) .Values.existingConfigMap.name -}}
{{- end -}}

{{- /* What selects pods: it may never change over the life of a Deployment. */ -}}
{{- define "ratel.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "ratel.labels" -}}
{{ include "ratel.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* repository@digest, or repository:tag. */ -}}
{{- define "ratel.imageReference" -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository .tag -}}
{{- end -}}
{{- end -}}

{{- define "ratel.image" -}}
{{- $image := .Values.image -}}
{{- $tag := default .Chart.AppVersion $image.tag -}}
{{- include "ratel.imageReference" (dict "repository" $image.repository "tag" $tag
  "digest" $image.digest) -}}
{{- end -}}

{{- define "ratel.terminationGracePeriodSeconds" -}}
{{- $drain := .Values.drain -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds -}}
{{- add $drain.delaySeconds $drain.longestStreamSeconds $drain.endSeconds -}}
{{- else -}}
{{- int .Values.terminationGracePeriodSeconds -}}
{{- end -}}
{{- end -}}

{{- /* Quantities as texts: a server-side apply to an old API server takes no numbers for them. */ -}}
{{- define "ratel.resources" -}}
{{- $resources := dict -}}
{{- range $kind, $amounts := . -}}
{{- if has $kind (list "limits" "requests") -}}
{{- $texts := dict -}}
{{- range $name, $amount := $amounts }}{{ $_ := set $texts $name (toString $amount) }}{{ end -}}
{{- $amounts = $texts -}}
{{- end -}}
{{- $_ := set $resources $kind $amounts -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{- /* A preStop hook holds a container's SIGTERM until it has answered. */ -}}
{{- define "ratel.backendPreStop" -}}
httpGet:
  path: /drain
  port: {{ .Values.ratel.adminPort }}
{{- end -}}
