internal import Appraisal
internal import Keys
internal import RATS

/// Policies for NVIDIA devices in words, and written from what a machine shows.
enum NVIDIALines {
    static func explain(_ gpu: NVIDIAGPUPolicy) -> [String] {
        var lines = ["  each of its GPUs is another one that NVIDIA made, all alike:"]
        let names = gpu.architectures.map(\.rawValue).joined(separator: " or ")
        lines.append("    architecture: \(names)")
        switch gpu.modes {
        case .any: lines.append("    mode: any")
        case .oneOf(let modes):
            lines.append("    mode: \(modes.map(\.rawValue).joined(separator: " or "))")
        }
        lines.append("    driver: \(gpu.driver.shown)")
        lines.append("    reference manifest of the driver: \(gpu.driverManifest.rawValue)")
        lines.append("    firmware id in the report: \(gpu.firmwareID.rawValue)")
        return lines + explain(gpu.device, "VBIOS")
    }

    static func explain(nvswitch: NVIDIADevicePolicy) -> [String] {
        ["  each of its NVSwitches is another one that NVIDIA made, and the GPUs name them:"]
            + explain(nvswitch, "BIOS")
    }

    private static func explain(_ device: NVIDIADevicePolicy, _ name: String) -> [String] {
        var lines = ["    \(name): \(device.vbios.shown)"]
        lines.append("    reference manifest of the \(name): \(device.vbiosManifest.rawValue)")
        let answers = device.ocsp == .required ? "required" : "heeded if there are any"
        lines.append("    OCSP answers: \(answers)")
        switch device.devices {
        case .any: lines.append("    devices: any")
        case .oneOf(let serials):
            let shown =
                serials.isEmpty ? "nothing" : serials.map(Hex.encode).joined(separator: " or ")
            lines.append("    devices: \(shown)")
        }
        let roots = device.roots.devices + device.roots.manifests
        if roots != NVIDIARoots.nvidia.devices + NVIDIARoots.nvidia.manifests {
            lines += PolicyExplanation.replaced("NVIDIA's roots", roots)
        }
        return lines
    }

    /// The section for all GPUs or all switches of a machine.
    static func section(_ devices: [Claims], _ format: EvidenceFormat) -> [String] {
        func all(_ name: String) -> String {
            let values = Set(devices.compactMap { $0[name]?.shown })
            return values.sorted().map { "\"\($0)\"" }.joined(separator: ", ")
        }
        var lines = ["    \(format.rawValue):"]
        let isGPU = format == .nvidiaGPU
        if isGPU {
            let chips = Set(devices.compactMap { $0["chip"]?.shown.hasPrefix("GB") })
            let names = chips.sorted { !$0 && $1 }.map { $0 ? "blackwell" : "hopper" }
            lines.append("      architectures: [\(names.joined(separator: ", "))]")
            let modes = Set(devices.compactMap { $0["mode"]?.shown }).sorted()
            lines.append(
                "      mode: " + (modes.isEmpty ? "any" : "[\(modes.joined(separator: ", "))]"))
            lines.append("      driver: [\(all("driver_version"))]")
            lines.append("      driver_rim: required")
            let named = devices.allSatisfy { $0["fwid"] != nil }
            lines.append("      fwid: \(named ? "required" : "any")")
        }
        lines.append("      \(isGPU ? "vbios" : "bios"): [\(all("vbios_version"))]")
        lines.append("      \(isGPU ? "vbios" : "bios")_rim: required")
        lines.append("      ocsp: required")
        lines.append("      devices: [\(all("device_serial"))]")
        return lines
    }
}
