internal import RATS

/// The reference manifests that came with the Evidence and are NVIDIA's: read, and their chains and
/// revocation checked, once for all devices of a kind.
struct ManifestShelf {
    let manifests: [ReferenceManifest]
    /// Why the first of the others is not among them; it may have been for another device.
    private let refused: Refusal?

    init(_ endorsements: [Endorsement], _ roots: NVIDIARoots, _ revocation: NVIDIARevocation) {
        var manifests: [ReferenceManifest] = []
        var refused: Refusal?
        for item in endorsements where item.mediaType == ReferenceManifest.mediaType {
            do throws(Refusal) {
                let manifest = try ReferenceManifest(item.bytes, for: revocation.device)
                try manifest.checkTrust(
                    roots.manifests, now: revocation.now, for: revocation.device)
                try revocation.check(manifest.certificates, from: 0, "manifest")
                manifests.append(manifest)
            } catch {
                refused = refused ?? error
            }
        }
        self.manifests = manifests
        self.refused = refused
    }

    /// Why there is no manifest of `version`: what was wrong with one, if one was wrong.
    func missing(_ name: String, _ version: String, _ evidence: NVIDIAEvidence) -> Refusal {
        if let refused { return refused }
        let found = manifests.map { "\($0.product) \($0.version)" }.joined(separator: ", ")
        return evidence.report.device.refusal(
            "rim.\(name).missing", .policy, "\(name) manifest",
            "one of \(evidence.chain.chip) \(version)", found.isEmpty ? "none" : found,
            "have the peer send the manifests of NVIDIA's RIM service, or write `\(name)_rim: any`")
    }
}
