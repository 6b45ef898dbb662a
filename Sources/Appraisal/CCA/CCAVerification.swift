public import Keys
public import RATS

/// Whether a CCA token is authentic, with no policy and no connection: for files, and for looking
/// at a machine.
///
/// Structure, both signatures, the link between them, and the lifecycle; a token names no time, so
/// there is none to check.
public enum CCAVerification {
    /// The claims of `token` (at most 16 KiB) if everything holds under `platformKey`, the CPAK.
    public static func claims(token: [UInt8], platformKey: PublicKey) throws(Refusal) -> Claims {
        let token = try CCAToken(token)
        try token.checkSignatures(platformKey)
        try token.checkLifecycle()
        return token.claims
    }
}
