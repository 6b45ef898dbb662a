internal import Keys
internal import RATS

/// The roots of trust beside a TPM: what each needs, where it is not there.
extension Doctor {
    static func examineTrustRoots(_ places: DevicePlaces) -> [Finding] {
        let provider: String?
        var findings: [Finding] = []
        do throws(HostError) {
            provider = try TSMReport(folder: places.reports).provider()
        } catch {
            provider = nil
            if HostFile.exists(places.reports) {
                findings.append(
                    Finding(
                        interface: "configfs-tsm", place: places.reports, state: .unusable,
                        detail: "\(error.action): \(error.words)"))
            }
        }
        if findings.isEmpty { findings.append(examineTSM(places.reports, provider)) }
        findings.append(examineTDX(places, provider))
        findings.append(examineSNP(places, provider))
        findings.append(examineSGX(places))
        findings.append(
            HostFile.exists(places.nsm)
                ? examine(
                    NitroAttester(device: places.nsm), named: "AWS Nitro", place: places.nsm,
                    describe: size)
                : absent("AWS Nitro", places.nsm, "an enclave of Nitro"))
        findings.append(examineNVIDIA(places))
        return findings
    }

    private static func examineTSM(_ folder: String, _ provider: String?) -> Finding {
        guard let provider else {
            return absent("configfs-tsm", folder, "TDX and SNP reports, from Linux 6.7 on")
        }
        let known = [TDXAttester.provider, SNPAttester.provider].contains(provider)
        return Finding(
            interface: "configfs-tsm", place: folder, state: known ? .usable : .unsupported,
            detail: known
                ? "reports by \(provider)"
                : "reports by \(provider), which this version does not know")
    }

    private static func examineTDX(_ places: DevicePlaces, _ provider: String?) -> Finding {
        guard provider == TDXAttester.provider || HostFile.exists(places.tdxGuest) else {
            return absent("Intel TDX", places.tdxGuest, "a trust domain of TDX")
        }
        let source = places.tdxSource
        let place =
            switch source {
            case .configfs(let folder): folder
            case .quotingService(let device, let service): "\(device), \(service)"
            }
        do throws(Refusal) {
            return examine(
                try TDXAttester(source), named: "Intel TDX", place: place, describe: size)
        } catch {
            return Finding(
                interface: "Intel TDX", place: place, state: .unusable,
                detail: "\(error.field): \(error.got)")
        }
    }

    private static func examineSNP(_ places: DevicePlaces, _ provider: String?) -> Finding {
        if provider == SNPAttester.provider {
            return examine(
                SNPAttester(folder: places.reports), named: "AMD SEV-SNP", place: places.reports,
                describe: certificates)
        }
        let device = places.root + "/dev/sev-guest"
        guard HostFile.exists(device) else {
            return absent("AMD SEV-SNP", device, "a guest of SEV-SNP")
        }
        return Finding(
            interface: "AMD SEV-SNP", place: device, state: .unusable,
            detail: "found, but configfs-tsm does not serve it: Linux 6.7 or later is needed, "
                + "with configfs mounted")
    }

    private static func examineSGX(_ places: DevicePlaces) -> Finding {
        if HostFile.exists(places.gramine + "/user_report_data") {
            return examine(
                SGXAttester(folder: places.gramine), named: "Intel SGX", place: places.gramine,
                describe: size)
        }
        let device = places.root + "/dev/sgx_enclave"
        guard HostFile.exists(device) else {
            return absent("Intel SGX", places.gramine, "an enclave of SGX under Gramine")
        }
        return Finding(
            interface: "Intel SGX", place: device, state: .unsupported,
            detail: "found, but quotes are made inside an enclave: run under Gramine")
    }

    private static func examineNVIDIA(_ places: DevicePlaces) -> Finding {
        let name = "NVIDIA GPU"
        do throws(Refusal) {
            let attester = try NVIDIAAttester(library: places.nvml)
            return examine(attester, named: name, place: places.nvml) {
                "\($0.count) GPUs attest; with a CPU's or TPM's attester beside them"
            }
        } catch {
            guard error.code != "nvidia.nvml.missing" else {
                return absent(name, places.nvml, "the driver's library")
            }
            return Finding(
                interface: name, place: places.nvml, state: .unusable,
                detail: "\(error.field): \(error.got)")
        }
    }

    private static func absent(_ name: String, _ place: String, _ hint: String) -> Finding {
        Finding(interface: name, place: place, state: .absent, detail: "not there (\(hint))")
    }

    private static func size(_ evidence: [Evidence]) -> String {
        "quotes; \(evidence.first?.bytes.count ?? 0) bytes"
    }

    private static func certificates(_ evidence: [Evidence]) -> String {
        let fields = evidence.first.flatMap {
            try? CBORFields(decoding: $0.bytes, allowed: [1, 2, 3])
        }
        let count = fields?.optional(2)?.items?.count ?? 0
        return count == 0
            ? "quotes; the host has no certificates: give them with --endorsements"
            : "quotes; \(count) certificates of the host"
    }
}
