internal import Appraisal
internal import Keys
internal import RATS

/// The section `nitro` of a peer in a policy; every key but `roots` must be there.
///
/// ```yaml
/// nitro:
///   pcrs: {0: ["96 hex digits"], 1: […], 2: […], 8: any}   # these four, and others if wanted
///   max_skew: 60s                  # between the document's clock and this one
///   # roots: [test-root.pem]       # in place of AWS's, which is then not trusted
/// ```
struct NitroSection {
    let node: PolicyNode

    func policy(_ files: inout CertificateFiles) throws(Refusal) -> NitroPolicy {
        let fields = try node.fields(required: ["pcrs", "max_skew"], optional: ["roots"])
        return NitroPolicy(
            pcrs: try registers(fields["pcrs"]),
            maxSkew: try fields["max_skew"]?.seconds() ?? 0,
            roots: try fields["roots"].map { node throws(Refusal) in
                try files.roots(node).map { Digest.sha256($0.der) }
            } ?? [NitroPolicy.awsRoot]
        )
    }

    private func registers(_ node: PolicyNode?) throws(Refusal) -> [Int: ReferenceValue] {
        var values: [Int: ReferenceValue] = [:]
        for (name, value) in try node?.entries() ?? [] {
            guard let index = Int(name), (0..<32).contains(index), "\(index)" == name else {
                throw value.refusal("policy.value.refused", expected: "0 to 31", got: name)
            }
            values[index] = try value.reference([48])
        }
        for index in NitroPolicy.requiredRegisters where values[index] == nil {
            throw (node ?? self.node).refusal(
                "policy.nitro.pcrs",
                expected: "PCR \(index)",
                got: "none",
                remedy: "list its values, or write `any`"
            )
        }
        return values
    }
}
