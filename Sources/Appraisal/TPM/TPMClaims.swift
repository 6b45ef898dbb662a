internal import Keys
internal import RATS

extension TPMSAttest {
    /// What the quote says, under the names of the TPM 2.0 Library in snake case.
    var claims: Claims {
        var claims = Claims()
        claims.set("magic", .text("0xff544347"))
        claims.set("type", .text("0x8018"))
        claims.set("extra_data", .bytes(extraData))
        claims.set("qualified_signer", .bytes(qualifiedSigner))
        claims.set("clock", .number(clock))
        claims.set("reset_count", .number(UInt64(resetCount)))
        claims.set("restart_count", .number(UInt64(restartCount)))
        claims.set("safe", .flag(safe))
        claims.set("firmware_version", .text("0x" + String(firmwareVersion, radix: 16)))
        claims.set("pcr_select", .list(selections.map { .group($0.claims) }))
        claims.set("pcr_digest", .bytes(pcrDigest))
        return claims
    }
}

extension TPMSAttest.Selection {
    fileprivate var claims: Claims {
        let bank = PCRBank(algorithm: algorithm)?.rawValue
        let name = bank ?? (algorithm == TPMAlgorithm.sha1 ? "sha1" : String(algorithm, radix: 16))
        var claims = Claims()
        claims.set("alg", .text(name))
        claims.set("pcrs", .list(registers.map { .number(UInt64($0)) }))
        return claims
    }
}
