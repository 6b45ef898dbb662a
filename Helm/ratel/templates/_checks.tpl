{{- /*
Refuses values that do not go together; values.schema.json has refused what is wrong by itself.
Every refusal says which value, what was expected, what came, and what to do.
*/ -}}
{{- define "ratel.refuse" -}}
{{- printf "\n\nREFUSED\n  code      %s\n  field     %s\n  expected  %s\n  got       %s\n  remedy    %s\n"
  (index . 0) (index . 1) (index . 2) (index . 3) (index . 4) | fail -}}
{{- end -}}

{{- define "ratel.checks" -}}
{{- if not (or .Values.deployment.enabled .Values.webhook.enabled .Values.router.enabled) -}}
{{- include "ratel.refuse" (list "chart.nothing"
  "deployment.enabled, webhook.enabled, router.enabled" "one of them, or several" "none"
  "enable what you want to install") -}}
{{- end -}}
{{- include "ratel.checks.image" . -}}
{{- include "ratel.checks.attester" . -}}
{{- include "ratel.checks.drain" . -}}
{{- include "ratel.checks.ports" . -}}
{{- if .Values.deployment.enabled -}}
{{- include "ratel.checks.policy" . -}}
{{- include "ratel.checks.backend" . -}}
{{- include "ratel.checks.listening" . -}}
{{- include "ratel.checks.scale" . -}}
{{- end -}}
{{- if .Values.router.enabled -}}
{{- include "ratel.checks.router" . -}}
{{- end -}}
{{- include "ratel.checks.cluster" . -}}
{{- end -}}

{{- define "ratel.checks.image" -}}
{{- $image := .Values.image -}}
{{- if not $image.repository -}}
{{- include "ratel.refuse" (list "image.missing" "image.repository"
  "where the image of `make image` was pushed" "nothing"
  "set image.repository, and image.digest to what the build printed") -}}
{{- end -}}
{{- include "ratel.checks.tag" (list "image" $image) -}}
{{- end -}}

{{- define "ratel.checks.tag" -}}
{{- $field := index . 0 -}}
{{- $image := index . 1 -}}
{{- if and (eq $image.tag "latest") (not $image.digest) -}}
{{- include "ratel.refuse" (list "image.mutable" (printf "%s.tag" $field)
  "a digest, or the tag of one release" "latest"
  (printf "set %s.digest: what is attested must be what was reviewed" $field)) -}}
{{- end -}}
{{- end -}}

{{- define "ratel.checks.attester" -}}
{{- $devices := .Values.devices -}}
{{- $attester := .Values.attester -}}
{{- if and (eq $attester "simulated") (not .Values.allowSimulated) -}}
{{- include "ratel.refuse" (list "attester.simulated" "attester"
  "a root of trust" "simulated, without allowSimulated: true"
  "choose tpm, tdx or snp; set allowSimulated: true for a test that proves nothing") -}}
{{- end -}}
{{- if and $devices.hostPath (not $devices.privileged) -}}
{{- include "ratel.refuse" (list "devices.hostpath" "devices.hostPath"
  "devices.privileged: true beside it" "false"
  "use a device plugin (devices.resources); a device of the node opens to privileged pods alone"
  ) -}}
{{- end -}}
{{- $given := or $devices.resources $devices.hostPath $devices.configfsTSM .Values.tcti -}}
{{- if not (or $given (has $attester (list "none" "simulated"))) -}}
{{- include "ratel.refuse" (list "devices.missing" "devices"
  (printf "a way for the device of `attester: %s` to reach the sidecar" $attester) "none"
  "set devices.resources, devices.configfsTSM, devices.hostPath or tcti") -}}
{{- end -}}
{{- if and .Values.runtimeClass.create (not .Values.runtimeClass.handler) -}}
{{- include "ratel.refuse" (list "runtimeclass.handler" "runtimeClass.handler"
  "the handler that the nodes' containerd knows" "nothing"
  "name it, or leave runtimeClass.create false where the class exists") -}}
{{- end -}}
{{- if and .Values.runtimeClass.create (not .Values.runtimeClass.name) -}}
{{- include "ratel.refuse" (list "runtimeclass.name" "runtimeClass.name" "a name" "nothing"
  "name the class, such as kata-qemu-tdx") -}}
{{- end -}}
{{- end -}}

{{- define "ratel.checks.drain" -}}
{{- $drain := .Values.drain -}}
{{- $least := add $drain.delaySeconds $drain.longestStreamSeconds -}}
{{- $given := include "ratel.terminationGracePeriodSeconds" . | int64 -}}
{{- if le $given $least -}}
{{- include "ratel.refuse" (list "drain.grace" "terminationGracePeriodSeconds"
  (printf "more than drain.delaySeconds + drain.longestStreamSeconds = %d" $least)
  (toString $given)
  "raise it, or leave it null; the kubelet would cut streams that Ratel lets finish") -}}
{{- end -}}
{{- end -}}

{{- define "ratel.checks.ports" -}}
{{- $ports := list (int .Values.ratel.port) (int .Values.ratel.adminPort) -}}
{{- $backends := list -}}
{{- if .Values.deployment.enabled -}}
{{- $backends = append $backends (list "backend.port" .Values.backend.port) -}}
{{- end -}}
{{- if .Values.webhook.enabled -}}
{{- $backends = append $backends
  (list "webhook.defaults.backendPort" .Values.webhook.defaults.backendPort) -}}
{{- end -}}
{{- range $backends -}}
{{- $all := append $ports (index . 1 | int) -}}
{{- if ne (len $all) (len (uniq $all)) -}}
{{- include "ratel.refuse" (list "ports.same"
  (printf "ratel.port, ratel.adminPort, %s" (index . 0)) "three different ports" (join ", " $all)
  "the containers of a pod share one network: change one") -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "ratel.checks.policy" -}}
{{- $own := .Values.existingConfigMap.name -}}
{{- if and .Values.policy $own -}}
{{- include "ratel.refuse" (list "policy.twice" "policy, existingConfigMap.name" "one of them"
  "both" "leave one out") -}}
{{- end -}}
{{- if not (or .Values.policy $own) -}}
{{- include "ratel.refuse" (list "policy.missing" "policy, existingConfigMap.name"
  "the policy that says who may call" "neither"
  "helm … --set-file policy=callers.yaml; `peers: anonymous` must be written, and admits anybody"
  ) -}}
{{- end -}}
{{- if and .Values.policyFiles (hasKey .Values.policyFiles "policy.yaml") -}}
{{- include "ratel.refuse" (list "policy.twice" "policyFiles" "files beside policy.yaml"
  "policy.yaml itself" "give the policy as `policy`") -}}
{{- end -}}
{{- include "ratel.checks.simulated" (list . "policy" .Values.policy) -}}
{{- end -}}

{{- define "ratel.checks.simulated" -}}
{{- $simulated := regexMatch "(?m)^[^#\n]*\\bsimulated['\"]?\\s*:\\s*['\"]?(true|yes|on)\\b"
  (index . 2) -}}
{{- if and $simulated (not (index . 0).Values.allowSimulated) -}}
{{- include "ratel.refuse" (list "policy.simulated" (index . 1)
  "Evidence of a root of trust" "simulated: true, without allowSimulated: true"
  "take it out of the policy: it admits a peer that may run anything") -}}
{{- end -}}
{{- end -}}

{{- define "ratel.checks.backend" -}}
{{- $backend := .Values.backend -}}
{{- if eq $backend.kind "custom" -}}
{{- if not $backend.image.repository -}}
{{- include "ratel.refuse" (list "backend.image" "backend.image.repository"
  "the image of `kind: custom`" "nothing" "name it") -}}
{{- end -}}
{{- else if not $backend.model -}}
{{- include "ratel.refuse" (list "backend.model" "backend.model"
  (printf "the model that %s serves" $backend.kind) "nothing" "give a name or a path") -}}
{{- end -}}
{{- if not (or $backend.image.tag $backend.image.digest) -}}
{{- include "ratel.refuse" (list "backend.image" "backend.image.digest"
  "a digest, or the tag of one release" "neither"
  "look up the release that you reviewed: the chart knows none that stays current") -}}
{{- end -}}
{{- include "ratel.checks.tag" (list "backend.image" $backend.image) -}}
{{- if and (ne $backend.kind "custom") $backend.command -}}
{{- include "ratel.refuse" (list "backend.command" "backend.command"
  "nothing, as the chart writes it" (join " " $backend.command)
  "use backend.args to add to it, or kind: custom") -}}
{{- end -}}
{{- end -}}

{{- define "ratel.checks.listening" -}}
{{- $backend := .Values.backend -}}
{{- $words := concat $backend.command $backend.args -}}
{{- range $backend.env }}{{ $words = append $words (default "" .value | toString) }}{{ end -}}
{{- $line := join " " $words -}}
{{- $open := regexFind "(^|[^0-9.])0\\.0\\.0\\.0\\b|\\[::\\]|--host(name)?[= ](::|\\*)" $line -}}
{{- if $open -}}
{{- include "ratel.refuse" (list "backend.open" "backend.args"
  "a backend that listens on 127.0.0.1" (trim $open)
  "leave the address to the chart: whoever reaches the backend's port goes round Ratel") -}}
{{- end -}}
{{- if eq $backend.kind "custom" -}}
{{- if not (or $backend.listensOnLoopback
  (regexMatch "127\\.0\\.0\\.1|\\blocalhost\\b|\\[::1\\]" $line)) -}}
{{- include "ratel.refuse" (list "backend.open" "backend.args"
  "127.0.0.1 in the custom backend's arguments or environment" (default "nothing of it" $line)
  "have it listen there; set backend.listensOnLoopback: true where it does by itself") -}}
{{- end -}}
{{- else -}}
{{- $own := regexFind "(^| )--(host|hostname|port|uds)\\b[^ ]*" (join " " $backend.args) -}}
{{- if $own -}}
{{- include "ratel.refuse" (list "backend.args" "backend.args"
  "options other than the address, which the chart writes" (trim $own) "use backend.port") -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "ratel.checks.scale" -}}
{{- $scale := .Values.autoscaling -}}
{{- if and $scale.enabled (gt (int $scale.minReplicas) (int $scale.maxReplicas)) -}}
{{- include "ratel.refuse" (list "autoscaling.range" "autoscaling.minReplicas"
  (printf "at most maxReplicas, %d" (int $scale.maxReplicas)) (toString $scale.minReplicas)
  "raise maxReplicas") -}}
{{- end -}}
{{- $budget := .Values.podDisruptionBudget -}}
{{- $both := not (or (kindIs "invalid" $budget.minAvailable)
  (kindIs "invalid" $budget.maxUnavailable)) -}}
{{- if and $budget.enabled $both -}}
{{- include "ratel.refuse" (list "poddisruptionbudget.twice" "podDisruptionBudget"
  "minAvailable or maxUnavailable" "both" "set the other to null") -}}
{{- end -}}
{{- if and .Values.monitoring.podMonitor.enabled .Values.monitoring.serviceMonitor.enabled -}}
{{- include "ratel.refuse" (list "monitoring.twice" "monitoring"
  "a PodMonitor or a ServiceMonitor" "both" "leave one out: every sample would be there twice") -}}
{{- end -}}
{{- end -}}

{{- /* Each feature and the release that brought it. */ -}}
{{- define "ratel.checks.cluster" -}}
{{- $deployed := .Values.deployment.enabled -}}
{{- $native := .Values.sidecar.native -}}
{{- $wanted := list
  (list (and $native (or $deployed .Values.webhook.enabled)) "sidecar.native" "1.29.0"
    "set sidecar.native: false: an ordinary container starts beside the backend, not before it")
  (list (and $deployed .Values.autoscaling.enabled) "autoscaling.enabled" "1.23.0" "leave it out")
  (list (and (or $deployed .Values.router.enabled) .Values.podDisruptionBudget.enabled)
    "podDisruptionBudget.enabled" "1.21.0"
    "set podDisruptionBudget.enabled: false")
  (list (and .Values.router.enabled .Values.router.endpointSliceNamespaces)
    "router.endpointSliceNamespaces" "1.21.0" "find providers by `address` or `dns`")
  (list .Values.webhook.enabled "webhook.enabled" "1.20.0" "leave it out") -}}
{{- $came := .Capabilities.KubeVersion.Version -}}
{{- range $wanted -}}
{{- if and (index . 0) (semverCompare (printf "<%s-0" (index . 2)) $came) -}}
{{- include "ratel.refuse" (list "cluster.old" (index . 1)
  (printf "Kubernetes %s or later" (index . 2)) $came (index . 3)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
