internal import Keys
internal import RATS

extension ChannelFacts {
    /// The base for one direction, from this end's view of the connection.
    ///
    /// `sequence` counts the challenges of this connection and role: protocol.md, "Binding".
    func base(
        attester: Role,
        sequence: UInt32,
        attesterKey: [UInt8],
        peerKey: [UInt8]?,
        challenge: [UInt8],
        nonce: [UInt8],
        configuration: [UInt8]
    ) throws(Refusal) -> [UInt8] {
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
        return Binding.base(
            Binding.Inputs(
                role: attester,
                sequence: sequence,
                attesterKeyHash: Digest.sha256(attesterKey),
                peerKeyHash: peerKey.map(Digest.sha256),
                challengeHash: hash,
                attesterNonce: nonce,
                exported: exported,
                configurationHash: Digest.sha384(configuration)
            )
        )
    }
}
