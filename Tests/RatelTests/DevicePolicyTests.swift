import Appraisal
import Keys
import RATS
import Ratel
import Testing

/// The sections `nvidia_gpu`, `nvidia_switch` and `cca`.
struct DevicePolicyTests {
    private func load(_ text: String) throws(Refusal) -> AppraisalPolicy {
        try PolicyLoader.load(bytes: Array(text.utf8))
    }

    private func code(_ text: String) -> String {
        do throws(Refusal) {
            _ = try load(text)
            return "read"
        } catch {
            return error.code
        }
    }

    private let gpus = """
        version: 1
        peers:
          - name: node
            require: {cca: 1, nvidia_gpu: 8, nvidia_switch: 4}
            cca:
              cpak: ["\(String(repeating: "ab", count: 32))"]
              implementation_id: any
              instance_id: any
              rim: ["\(String(repeating: "cd", count: 48))"]
              rem: {0: any, 1: any, 2: any, 3: any}
              rpv: any
              software: [{signer_id: "\(String(repeating: "ef", count: 32))",
                          measurement: "\(String(repeating: "01", count: 32))"}]
            nvidia_gpu:
              architectures: [hopper, blackwell]
              mode: [spt, ppcie]
              driver: {at_least: "570.86.10"}
              vbios: ["96.00.5e.00.01"]
              driver_rim: required
              vbios_rim: any
              fwid: required
              ocsp: required
              devices: ["419bdffe09391c64d4"]
            nvidia_switch: {bios: any, bios_rim: required, ocsp: any, devices: any}
        """

    @Test func everyKeyIsReadAndExplained() throws {
        let policy = try load(gpus)
        guard case .appraised(let peers) = policy.peers, let peer = peers.first else {
            Issue.record("no peer")
            return
        }
        #expect(peer.require == [.cca: 1, .nvidiaGPU: 8, .nvidiaSwitch: 4])
        let gpu = try #require(peer.nvidiaGPU)
        #expect(gpu.architectures == [.hopper, .blackwell])
        #expect(gpu.modes == .oneOf([.single, .protectedPCIe]))
        #expect(gpu.driver == .atLeast("570.86.10"))
        #expect(gpu.device.vbios == .oneOf(["96.00.5E.00.01"]))
        #expect(gpu.driverManifest == .required && gpu.device.vbiosManifest == .any)
        #expect(gpu.firmwareID == .required && gpu.device.ocsp == .required)
        #expect(gpu.device.roots.devices == NVIDIARoots.nvidia.devices)
        #expect(peer.nvidiaSwitch?.ocsp == .any && peer.nvidiaSwitch?.vbiosManifest == .required)
        #expect(peer.cca?.extensible == [.any, .any, .any, .any])
        let text = PolicyExplanation.text(policy)
        for part in [
            "1 × cca, 8 × nvidia_gpu, 4 × nvidia_switch", "hopper or blackwell", "spt or ppcie",
            "driver: at least 570.86.10", "VBIOS: 96.00.5E.00.01",
            "OCSP answers: heeded if there are any", "devices: 419bdffe09391c64d4",
            "initial measurement: cdcdcd", "firmware is one of 1 components",
        ] { #expect(text.contains(part), "\(part)") }
    }

    @Test func nothingIsImplied() {
        #expect(code(gpus) == "read")
        let keys = [
            "architectures: [hopper, blackwell]", "mode: [spt, ppcie]",
            "driver: {at_least: \"570.86.10\"}", "vbios: [\"96.00.5e.00.01\"]",
            "driver_rim: required", "vbios_rim: any", "fwid: required", "ocsp: required",
            "devices: [\"419bdffe09391c64d4\"]", "implementation_id: any", "instance_id: any",
            "rpv: any", "rem: {0: any, 1: any, 2: any, 3: any}",
        ]
        for key in keys {
            let less = gpus.split(separator: "\n").filter { !$0.hasSuffix(key) }
            #expect(code(less.joined(separator: "\n")) == "policy.key.missing", "\(key)")
        }
        let changes = [
            ("[hopper, blackwell]", "[]"), ("[hopper, blackwell]", "[ada]"),
            ("[spt, ppcie]", "[]"), ("570.86.10", "570.x"), ("570.86.10", "+1"),
            ("\"96.00.5e.00.01\"", "\"96.00.5g\""), ("fwid: required", "fwid: no"),
            ("419bdffe09391c64d4", "41f"), ("cpak: [\"ab", "cpak: [\"a"),
            ("nvidia_gpu: 8", "nvidia_gpu: 17"), ("nvidia_gpu: 8", "nvidia_gpu: 0"),
            ("{cca: 1", "{cca: 2"), ("signer_id: \"ef", "signer_id: \""),
        ]
        for (old, new) in changes {
            #expect(code(gpus.replacing(old, with: new)) == "policy.value.refused", "\(new)")
        }
        #expect(code(gpus.replacing("3: any}", with: "4: any}")) == "policy.key.unknown")
        #expect(code(gpus.replacing("fwid:", with: "fw_id:")) == "policy.key.unknown")
        #expect(code(gpus.replacing(", nvidia_switch: 4", with: "")) == "policy.peer.incomplete")
        #expect(code(gpus.replacing("nvidia_gpu: 8, ", with: "")) == "policy.peer.incomplete")
    }

    @Test func aDeviceIsNeverAlone() {
        let alone = """
            version: 1
            peers:
              - name: node
                require: {nvidia_gpu: 1}
            """
        #expect(code(alone) == "policy.peer.incomplete")
        // But in files, and then its section is what is missing.
        #expect(code(alone + "\n    tier: none") == "policy.peer.incomplete")
        #expect(code(gpus.replacing("cca: 1, ", with: "")) == "policy.peer.incomplete")
    }
}
