internal import Keys

/// The roots that Intel's chains may end in.
public enum DCAPRoots {
    /// SHA-256 of the SubjectPublicKeyInfo of the Intel SGX Root CA, 32 bytes: two certificates
    /// exist for this one key (to 2033 and to 2049), so the key is pinned.
    public static let intel: [[UInt8]] = {
        let digits = "a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e"
        guard let bytes = Hex.decode(digits), bytes.count == 32 else {
            preconditionFailure("not a SHA-256 value")
        }
        return [bytes]
    }()
}
