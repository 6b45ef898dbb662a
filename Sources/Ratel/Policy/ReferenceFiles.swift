internal import Appraisal
internal import Keys
internal import RATS
internal import Yams

/// Reference Values that a policy names in place of listing them.
///
/// Anywhere a list of digests may stand:
/// ```yaml
/// rtmr: {1: {corim: guest.cbor, keys: [maker.pem], measurement: rtmr1}, …}
/// ```
/// `keys` are PEM or key sets of those who may have signed the manifest, or `any` for one that is
/// trusted like the policy beside it; `vendor` and `model` narrow the class down. The policy's
/// digest covers the files; a manifest that is out of date, or has no such measurement, is refused.
struct ReferenceFiles {
    /// Unix time.
    let now: Int64

    /// The same place with every such mapping replaced by the list that it stands for.
    func expand(
        _ node: PolicyNode, _ files: inout CertificateFiles
    ) throws(Refusal) -> PolicyNode {
        switch node.node {
        case .mapping(let mapping):
            let entries = try node.entries()
            if entries.contains(where: { $0.0 == "corim" }) {
                return try values(node, &files)
            }
            var pairs: [(Node, Node)] = []
            for ((key, _), (_, value)) in zip(mapping, entries) {
                pairs.append((key, try expand(value, &files).node))
            }
            return PolicyNode(
                node: .mapping(.init(pairs, mapping.tag, mapping.style, mapping.mark)),
                path: node.path)
        case .sequence(let sequence):
            var items: [Node] = []
            for item in try node.items() { items.append(try expand(item, &files).node) }
            return PolicyNode(
                node: .sequence(.init(items, sequence.tag, sequence.style, sequence.mark)),
                path: node.path)
        case .scalar, .alias: return node
        }
    }

    private func values(
        _ node: PolicyNode, _ files: inout CertificateFiles
    ) throws(Refusal) -> PolicyNode {
        let fields = try node.fields(
            required: ["corim", "keys", "measurement"], optional: ["vendor", "model"])
        guard let place = fields["corim"], let keys = fields["keys"] else { return node }
        let manifest = try read(place, keys, &files)
        guard now >= manifest.validFrom ?? 0, now < manifest.validUntil ?? .max else {
            throw place.refusal(
                "policy.corim.expired", expected: "a manifest that is valid now",
                got: "\(UTCTime.text(manifest.validFrom ?? 0)) to "
                    + "\(manifest.validUntil.map(UTCTime.text) ?? "ever")",
                remedy: "fetch the present one from its maker")
        }
        let name = try fields["measurement"]?.text()
        let vendor = try fields["vendor"]?.text()
        let model = try fields["model"]?.text()
        let found = manifest.measurements.filter {
            $0.name == name && (vendor == nil || $0.vendor == vendor)
                && (model == nil || $0.model == model)
        }.flatMap(\.digests)
        guard !found.isEmpty else {
            throw place.refusal(
                "policy.corim.measurement", expected: "digests of `\(name ?? "")`",
                got: manifest.measurements.map(\.name).joined(separator: ", "),
                remedy: "name a measurement that the manifest has")
        }
        let items = found.map {
            Node.scalar(.init(Hex.encode($0), Tag(.str), .doubleQuoted, node.node.mark))
        }
        return PolicyNode(node: .sequence(.init(items)), path: node.path)
    }

    private func read(
        _ place: PolicyNode, _ keys: PolicyNode, _ files: inout CertificateFiles
    ) throws(Refusal) -> CoRIM {
        let bytes = try files.content(place)
        let pinned = keys.isAny ? nil : try files.verifierKeys(keys)
        do throws(Refusal) {
            return try CoRIM(bytes, signedBy: pinned)
        } catch {
            throw place.refusal(
                error.code == "corim.signature"
                    ? "policy.corim.signature" : "policy.corim.malformed",
                expected: error.expected, got: error.got, remedy: error.remedy)
        }
    }
}
