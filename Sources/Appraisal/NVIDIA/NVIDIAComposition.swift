internal import Keys
internal import RATS

/// What the NVIDIA devices of one machine have to be to each other; their number is for `require`.
struct NVIDIAComposition {
    let devices: [NVIDIAAppraisal.Device]

    private var gpus: [NVIDIAEvidence] {
        devices.map(\.evidence).filter { $0.report.device == .gpu }
    }
    private var switches: [NVIDIAEvidence] {
        devices.map(\.evidence).filter { $0.report.device == .nvswitch }
    }

    /// Returns if they are distinct devices of one kind, in order, and connected as they say.
    func check() throws(Refusal) {
        try checkIndices()
        try checkIdentities()
        try checkUniformity(gpus)
        try checkUniformity(switches)
        try checkConnections()
    }

    // GPUs from 0, switches behind them: nonces and manifest name each place once.
    private func checkIndices() throws(Refusal) {
        let order = devices.sorted { $0.index < $1.index }
        let kinds = order.map(\.evidence.report.device)
        let wanted = gpus.map { _ in NVIDIADevice.gpu } + switches.map { _ in .nvswitch }
        guard order.map({ Int($0.index) }) == Array(0..<devices.count), kinds == wanted else {
            throw refusal(
                "index.order", "index", "GPUs from 0, then switches, each index once",
                order.map { "\($0.evidence.report.device.rawValue) \($0.index)" }
                    .joined(separator: ", "),
                "update the peer")
        }
    }

    private func checkIdentities() throws(Refusal) {
        guard NVIDIADeviceChain.areDistinct(devices.map(\.evidence.chain)) else {
            throw refusal(
                "device.duplicate", "devices", "\(devices.count) distinct ones",
                "one device twice", "have each device attest for itself")
        }
    }

    private func checkUniformity(_ all: [NVIDIAEvidence]) throws(Refusal) {
        let facts: [(String, (NVIDIAEvidence) -> String)] = [
            ("chip", { $0.chain.chip }), ("driver", { $0.report.driverVersion ?? "none" }),
            ("mode", { $0.report.mode?.rawValue ?? "none" }),
        ]
        for (name, value) in facts {
            let values = Set(all.map(value))
            guard values.count <= 1 else {
                throw refusal(
                    "mixed.\(name)", name, "the same for all devices",
                    values.sorted().joined(separator: " and "),
                    "a machine has one \(name); look at it")
            }
        }
    }

    // In protected PCIe what crosses a switch is in the clear for it: those that a GPU is connected
    // through must be there, and no others.
    private func checkConnections() throws(Refusal) {
        let present = Set(switches.flatMap { $0.report.opaque.identifiers(.switchPDI) ?? [] })
        guard present.count == switches.count else {
            throw refusal(
                "switch.identifier", "PDI", "one of its own for each switch",
                "\(present.count) for \(switches.count)", "update the switch's firmware")
        }
        let isProtected = gpus.contains { $0.report.mode == .protectedPCIe }
        guard isProtected || !switches.isEmpty else { return }
        for gpu in gpus {
            let connected = gpu.report.opaque.identifiers(.switchPDI) ?? []
            guard connected == present else {
                throw refusal(
                    "switch.missing", "NVSwitches",
                    connected.map(Hex.encode).sorted().joined(separator: ", "),
                    present.isEmpty
                        ? "none" : present.map(Hex.encode).sorted().joined(separator: ", "),
                    "have every switch attest, and write `nvidia_switch` under `require`")
            }
        }
    }

    private func refusal(
        _ code: String, _ field: String, _ expected: String, _ got: String, _ remedy: String
    ) -> Refusal {
        NVIDIADevice.gpu.refusal(code, .policy, field, expected, got, remedy)
    }
}
