internal import Keys
internal import RATS

extension ChannelFacts {
    /// What the base of one direction is made from, as this end sees the connection:
    /// protocol.md, "Binding".
    func inputs(
        attester: Role,
        attesterKey: [UInt8],
        peerKey: [UInt8]?,
        challenge: [UInt8],
        sequence: UInt32,
        nonce: [UInt8],
        configurationHash: [UInt8]
    ) throws(Refusal) -> Binding.Inputs {
        let hash = Binding.challengeHash(challenge)
        let context = Binding.exporterContext(
            challengeHash: hash,
            attesterNonce: nonce,
            sequence: sequence
        )
        let exported = export(Binding.exporterLabel(attester: attester), context)
        guard let exported, exported.count == 32 else {
            throw ExchangeRules.refusal(
                "exchange.exporter.failed",
                "TLS exporter",
                expected: "32 bytes",
                got: "none"
            )
        }
        return Binding.Inputs(
            role: attester,
            sequence: sequence,
            attesterKeyHash: Digest.sha256(attesterKey),
            peerKeyHash: peerKey.map(Digest.sha256),
            challengeHash: hash,
            attesterNonce: nonce,
            exported: exported,
            configurationHash: configurationHash
        )
    }
}
