internal import Appraisal
internal import RATS
internal import Yams

/// The section `cca` of a peer in a policy; every key must be there.
///
/// ```yaml
/// cca:
///   cpak: ["64 hex digits"]        # SHA-256 of the platform attestation keys (SPKI) to trust
///   implementation_id: any         # or ["64 hex digits"]
///   instance_id: any               # or ["66 hex digits"]
///   rim: ["…"]                     # 64, 96 or 128 hex digits, as for all measurements
///   rem: {0: any, 1: any, 2: any, 3: any}
///   rpv: any                       # or ["128 hex digits"]
///   software: any                  # or [{signer_id: "…", measurement: "…"}]
/// ```
struct CCASection {
    private static let hashSizes = [32, 48, 64]

    let node: PolicyNode

    func policy() throws(Refusal) -> CCAPolicy {
        let fields = try node.fields(required: [
            "cpak", "implementation_id", "instance_id", "rim", "rem", "rpv", "software",
        ])
        return CCAPolicy(
            platformKeys: try keys(fields["cpak"]),
            implementationID: try fields["implementation_id"]?.reference([32]) ?? .oneOf([]),
            instanceID: try fields["instance_id"]?.reference([33]) ?? .oneOf([]),
            initial: try fields["rim"]?.reference(CCASection.hashSizes) ?? .oneOf([]),
            extensible: try registers(fields["rem"]),
            personalization: try fields["rpv"]?.reference([64]) ?? .oneOf([]),
            software: try software(fields["software"])
        )
    }

    // There is no root that would make `any` mean something.
    private func keys(_ node: PolicyNode?) throws(Refusal) -> [[UInt8]] {
        var keys: [[UInt8]] = []
        for item in try node?.items() ?? [] { keys.append(try item.bytes([32])) }
        return keys
    }

    private func registers(_ node: PolicyNode?) throws(Refusal) -> [ReferenceValue] {
        let names = (0..<4).map { "\($0)" }
        let fields = try node?.fields(required: names) ?? [:]
        var values: [ReferenceValue] = []
        for name in names {
            values.append(try fields[name]?.reference(CCASection.hashSizes) ?? .oneOf([]))
        }
        return values
    }

    private func software(_ node: PolicyNode?) throws(Refusal) -> CCAPolicy.Software {
        guard let node else { return .oneOf([]) }
        if node.isAny { return .any }
        var components: [CCAPolicy.Component] = []
        for item in try node.items() {
            let fields = try item.fields(required: ["signer_id", "measurement"])
            components.append(
                CCAPolicy.Component(
                    signer: try fields["signer_id"]?.bytes(CCASection.hashSizes) ?? [],
                    measurement: try fields["measurement"]?.bytes(CCASection.hashSizes) ?? []))
        }
        return .oneOf(components)
    }
}
