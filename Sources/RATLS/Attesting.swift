internal import Keys
internal import RATS

/// What a side that attests does alike in the exchange and at the well-known endpoint.
extension ExchangeSettings {
    /// What signs for this side; refused where there is nothing.
    func mustAttest() throws(Refusal) -> Attestation {
        guard let attestation else {
            throw Refusal(
                "attester.none",
                .attestation,
                field: "Evidence",
                expected: "an attester",
                got: "none on this side",
                remedy: "give this side an attester (see `ratel doctor`)"
            )
        }
        return attestation
    }
}

extension ExchangeSettings.Attestation {
    /// Refuses where this side has Evidence of a kind that was not asked for.
    func check(wanted kinds: [UInt8]) throws(Refusal) {
        let offered = attester.kinds
        guard offered.allSatisfy({ kinds.contains($0.rawValue) }) else {
            throw Refusal(
                "attester.kind.unwanted",
                .attestation,
                field: "kinds of Evidence",
                expected: kinds.map { "\($0)" }.joined(separator: ", "),
                got: offered.map { "\($0.rawValue)" }.joined(separator: ", "),
                remedy: "have the peer's policy accept this kind, or use another attester"
            )
        }
    }
}

extension ChannelFacts {
    /// The key of this side in this handshake; a side without one cannot attest.
    func mustHaveKey() throws(Refusal) -> [UInt8] {
        guard let localSPKI else {
            throw ExchangeRules.refusal(
                "exchange.certificate.missing",
                "own certificate",
                expected: "a certificate on the side that attests",
                got: "none"
            )
        }
        return localSPKI
    }
}

extension EvidenceBody {
    /// The body as it travels; refused where no frame could carry it.
    func encodedInLimit() throws(Refusal) -> [UInt8] {
        let body = encoded
        guard body.count <= Frame.Kind.evidence.limit else {
            throw Refusal(
                "attester.evidence.too_long",
                .attestation,
                field: "evidence frame",
                expected: "up to \(Frame.Kind.evidence.limit) bytes",
                got: "\(body.count)",
                remedy: "leave the event log, or large Endorsements, out of the Evidence"
            )
        }
        return body
    }
}
