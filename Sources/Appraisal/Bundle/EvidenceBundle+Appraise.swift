internal import Keys
public import RATS

extension EvidenceBundle {
    /// Appraises the bundle under `policy` at the Unix time `now`.
    ///
    /// `anchors` are trusted beside the roots of the policy; `covering` is what the Evidence has to
    /// cover, nil where the caller takes any. What needs a live machine is refused.
    public func appraise(
        _ policy: AppraisalPolicy, anchors: TrustAnchors = TrustAnchors(), covering: [UInt8]?,
        now: Int64
    ) throws(Refusal) -> AttestationResult {
        if kind == .certificate {
            return try appraiseCertificate(policy, anchors: anchors, covering: covering, now: now)
        }
        let (evidence, endorsements) = try authentic(anchors, now)
        if let covering {
            for item in evidence { try check(item.claims, covers: covering) }
        }
        let outcome = try Appraiser.decide(
            evidence, endorsements: endorsements, configuration: Array("{}".utf8),
            policy: policy.trusting(anchors), now: now, tier: .none)
        guard case .admitted(let result) = outcome else {
            throw Refusal(
                "tpm.activation.offline", .policy, kind: "tpm", field: "credential activation",
                expected: "a connection to the machine", got: "a file",
                remedy: "verify HOST:PORT, or pin the attestation key in the policy (tpm.ak)")
        }
        return result
    }

    // Of several forms in one certificate, all of which are of its key, the first counts.
    private func appraiseCertificate(
        _ policy: AppraisalPolicy, anchors: TrustAnchors, covering: [UInt8]?, now: Int64
    ) throws(Refusal) -> AttestationResult {
        let bundle = CertificateBundle(bundle: self, anchors: anchors, now: now)
        let leaf = try bundle.leaf()
        let endorsements = bundle.endorsements(leaf)
        for carried in leaf.carried.dropFirst() {
            _ = try carried.authenticate(endorsements: endorsements)
        }
        let result = try leaf.carried[0].appraise(
            policy, anchors: anchors, endorsements: endorsements, tier: .static,
            end: leaf.certificate.notAfter, now: now)
        if let covering, let first = result.evidence.first {
            try check(first.claims, covers: covering)
        }
        return result
    }

    /// Refuses Evidence that does not cover `bytes`, with zeros behind where the field is longer.
    func check(_ claims: Claims, covers bytes: [UInt8]) throws(Refusal) {
        if kind == .result {
            return try ResultToken(required("result.jwt", "a token")).check(covers: bytes)
        }
        if case .list(let devices)? = claims["devices"] {
            for case .group(let device) in devices { try check(device, covers: bytes) }
            return
        }
        let names = ["report_data", "extra_data", "request_nonce", "realm.challenge", "nonce"]
        let name = names.first { claims[$0] != nil } ?? "nonce"
        var found: [UInt8] = []
        if case .bytes(let value)? = claims[name] { found = value }
        // REPORT_DATA has 64 bytes; what is shorter than its field stands at the front.
        let isPadded = name == "report_data"
        let zeros = isPadded ? [UInt8](repeating: 0, count: max(0, 64 - bytes.count)) : []
        guard ConstantTime.equal(found, bytes + zeros) else {
            throw Refusal(
                "evidence.nonce.mismatch", .binding, kind: kind.rawValue, field: name,
                expected: Hex.encode(bytes + zeros), got: Hex.encode(found),
                remedy: "ask the machine for Evidence over your nonce")
        }
    }
}

extension AppraisalPolicy {
    /// The same policy, in which `anchors` are roots beside those it has.
    public func trusting(_ anchors: TrustAnchors) -> AppraisalPolicy {
        guard case .appraised(let list) = peers else { return self }
        var copy = self
        copy.peers = .appraised(list.map { $0.trusting(anchors) })
        return copy
    }
}

extension PeerPolicy {
    fileprivate func trusting(_ anchors: TrustAnchors) -> PeerPolicy {
        var peer = self
        peer.tdx?.roots += anchors.pins
        peer.sgx?.roots += anchors.pins
        peer.nitro?.roots += anchors.certificates.map { Digest.sha256($0.der) }
        peer.snp?.trust(anchors.pins)
        peer.cca?.platformKeys += anchors.pins
        if let keys = peer.result?.keys {
            peer.result?.keys = VerifierKeys([keys, anchors.verifiers])
        }
        peer.nvidiaGPU?.device.trust(anchors.pins)
        peer.nvidiaSwitch?.trust(anchors.pins)
        switch peer.tpm?.key {
        case .underSNP(var policy)?:
            policy.trust(anchors.pins)
            peer.tpm?.key = .underSNP(policy)
        case .underTDX(var policy)?:
            policy.roots += anchors.pins
            peer.tpm?.key = .underTDX(policy)
        case .certified(let roots)?:
            peer.tpm?.key = .certified(roots: roots + anchors.certificates)
        case .pinned?, .endorsed?, nil: break
        }
        return peer
    }
}

extension SNPPolicy {
    fileprivate mutating func trust(_ pins: [[UInt8]]) {
        for product in SNPProduct.allCases { roots[product, default: []] += pins }
    }
}

extension NVIDIADevicePolicy {
    fileprivate mutating func trust(_ pins: [[UInt8]]) {
        roots = NVIDIARoots(devices: roots.devices + pins, manifests: roots.manifests + pins)
    }
}
