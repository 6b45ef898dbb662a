"""How the page of checks is grouped, and which line of the checklists a code implements."""

import re

INTRODUCTION = """
# Checks

Every refusal that the verifier can give, by its code: what has to hold, the line of the checklist
that it implements, and the tests that assert it. The page is made from sources and tests by
`make checks`; a code without a test fails the build. `make mutants` deletes each check in turn.
"""

# Title, codes, what the group is about; the first that matches takes a code.
GROUPS = [
    ("Every kind", r"evidence\.|configuration\.|policy\.|simulated\.|collateral\.|anchor\.",
     "What holds whatever vouches for the peer: counts, kinds, policy, collateral."),
    ("Intel DCAP", r"dcap\.", "TDX and SGX quotes, versions 3 to 5."),
    ("AMD SEV-SNP", r"snp\.", "Reports of versions 2 to 5."),
    ("TPM 2.0 and vTPM", r"tpm\.", "Quotes, attestation keys, event logs, Azure's HCL report."),
    ("AWS Nitro", r"nitro\.", "Attestation documents of the Nitro Security Module."),
    ("NVIDIA", r"nvidia\.", "GPUs and switches: device chains, reports, reference manifests."),
    ("Arm CCA", r"cca\.", "Platform and realm tokens."),
    ("Certificates that carry Evidence", r"certificate\.|dstack\.", "Foreign dialects of RA-TLS."),
    ("Other systems' servers", r"endpoint\.|session\.", "Endpoints, and Flashbots' message."),
    ("Results of other Verifiers", r"result\.", "EAR, Intel Trust Authority, Azure MAA, NRAS."),
    ("Manifests of Reference Values", r"corim\.", "CoRIM, in place of lists in a policy."),
    ("The exchange", r"exchange\.|binding\.|attester\.|peer\.", "Frames and bindings."),
]

# Codes that no test can bring about, each with the reason.
UNREACHABLE = {
    "attester.binding_key.failed": "only when the library cannot sign",
    "attester.certificate.failed": "only when the library cannot make a certificate",
    "tpm.activation.offline": "only TPMs ask for it, whose files no policy appraises",
}

# The first pattern that matches says the line.
STEPS = [
    (r"dcap\.quote\.(version|body|tee_type|key_type|vendor|malformed|certification)",
     "DCAP, header"),
    (r"dcap\.(pck\.chain|pck\.issuer|chain\.|revocation\.)", "DCAP 1, PCK chain and revocation"),
    (r"dcap\.(tcb\.(chain|id|fmspc|pceid)|collateral\.|pck\.extension)", "DCAP 2, TCB info"),
    (r"dcap\.(tcb\.module$|tdx\.(mrsignerseam|seamattributes))", "DCAP 3, TDX module"),
    (r"dcap\.qe\.", "DCAP 4, QE report and identity"),
    (r"dcap\.quote\.signature", "DCAP 5, quote signature"),
    (r"dcap\.tcb\.(unsupported|module_level|revoked)", "DCAP 6, TCB level"),
    (r"dcap\.tcb\.", "DCAP 7, status"),
    (r"dcap\.(tdx|sgx|platform)", "DCAP 8, what others leave unchecked"),
    (r"\w+\.(report_data|nonce|user_data|public_key|challenge)",
     "all 64 bytes of report_data, or the nonce"),
    (r"snp\.(malformed|version|signature|signing_key|product\.unknown)",
     "SNP, layout and signature"),
    (r"snp\.(root|chain|crl|revoked|certificate|key\.(missing|role)|vlek)", "SNP, chain"),
    (r"snp\.(key\.|chip_key|product\.mismatch)", "SNP, VCEK extensions"),
    (r"snp\.(tcb|firmware)", "SNP, TCB floors"),
    (r"snp\.product\.refused", "SNP, Milan refused unless named"),
    (r"snp\.", "SNP, policy bits, platform and identity"),
    (r"tpm\.(ak|ek|activation)\.", "TPM, the attestation key first"),
    (r"tpm\.hcl\.", "TPM, Azure's HCL report"),
    (r"tpm\.pcr\.", "TPM, pcrSelect and pcrDigest"),
    (r"tpm\.event_log", "TPM, event log replay"),
    (r"tpm\.(attest|signature|malformed)", "TPM, structure and signature"),
    (r"tpm\.", "TPM, clock, counts and firmware"),
    (r"nitro\.(malformed|digest|algorithm|key|certificate)", "Nitro, COSE_Sign1 and field caps"),
    (r"nitro\.(root|chain)", "Nitro, cabundle to the pinned root"),
    (r"nitro\.signature", "Nitro, ES384"),
    (r"nitro\.", "Nitro, registers, debug, timestamp"),
    (r"nvidia\.(chain|root|fwid|signature|malformed)", "NVIDIA, SPDM report and device chain"),
    (r"nvidia\.(rim|measurement|nvdec0|ocsp|driver|vbios)", "NVIDIA, manifests and OCSP"),
    (r"nvidia\.", "NVIDIA, devices, mode and composition"),
    (r"cca\.(platform|cpak)", "CCA, platform token under the CPAK"),
    (r"cca\.realm", "CCA, realm token under the RAK"),
    (r"cca\.", "CCA, lifecycle, measurements, components"),
    (r"result\.(signature|key|keys|algorithm|header)", "results, signature by a pinned JWKS"),
    (r"result\.(expired|early|age|time)", "results, expiry"),
    (r"result\.(issuer|audience)", "results, issuer and audience"),
    (r"result\.", "results, the same policy over their claims"),
    (r"corim\.", "policy, reference values by name"),
    (r"dstack\.event_log", "event logs: recompute digests from payloads"),
    (r"evidence\.(kind|count|index)", "kinds and how many of each"),
]


def step(code):
    return next((words for pattern, words in STEPS if re.match(pattern, code)), None)
