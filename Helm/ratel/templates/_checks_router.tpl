{{- define "ratel.checks.router" -}}
{{- $router := .Values.router -}}
{{- $own := $router.existingConfigMap -}}
{{- if and $own (or $router.providers $router.policy $router.files) -}}
{{- include "ratel.refuse" (list "router.twice"
  "router.existingConfigMap, router.providers, router.policy, router.files"
  "the ConfigMap, or the texts" "both" "leave one out") -}}
{{- end -}}
{{- if not (or $own (and $router.providers $router.policy)) -}}
{{- include "ratel.refuse" (list "router.missing"
  "router.providers, router.policy, router.existingConfigMap"
  "who provides, and who may call" "not both"
  "helm … --set-file router.providers=route.yaml --set-file router.policy=callers.yaml") -}}
{{- end -}}
{{- range list "route.yaml" "policy.yaml" -}}
{{- if hasKey $router.files . -}}
{{- include "ratel.refuse" (list "router.twice" "router.files"
  "files beside route.yaml and policy.yaml" .
  "give them as `router.providers` and `router.policy`") -}}
{{- end -}}
{{- end -}}
{{- include "ratel.checks.router.policies" . -}}
{{- include "ratel.checks.router.ledger" . -}}
{{- if and (contains "endpoint_slices" $router.providers)
  (empty $router.endpointSliceNamespaces) -}}
{{- include "ratel.refuse" (list "router.namespaces" "router.endpointSliceNamespaces"
  "the namespaces whose endpoint_slices router.providers names" "none"
  "list them: the router may ask the API server about no others") -}}
{{- end -}}
{{- end -}}

{{- define "ratel.checks.router.policies" -}}
{{- $texts := dict "policy" .Values.router.policy -}}
{{- range $name, $text := .Values.router.files -}}
{{- $_ := set $texts (printf "files.%s" $name) $text -}}
{{- end -}}
{{- range $name, $text := $texts -}}
{{- include "ratel.checks.simulated" (list $ (printf "router.%s" $name) $text) -}}
{{- end -}}
{{- end -}}

{{- define "ratel.checks.router.ledger" -}}
{{- $router := .Values.router -}}
{{- if and (gt (int $router.replicas) 1) (not $router.ledger.existingSecret) -}}
{{- include "ratel.refuse" (list "router.ledger" "router.ledger.existingSecret"
  "a ledger that several routers share" (printf "none, and %d replicas" (int $router.replicas))
  "name the Secret with the postgresql://… URL, or have one replica") -}}
{{- end -}}
{{- range $router.extraArgs -}}
{{- if hasPrefix "--ledger" . -}}
{{- include "ratel.refuse" (list "router.ledger" "router.extraArgs" "no URL with a password"
  "--ledger" "put it into the Secret of router.ledger.existingSecret") -}}
{{- end -}}
{{- end -}}
{{- end -}}
