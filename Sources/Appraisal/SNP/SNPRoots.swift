internal import Keys

/// The AMD Root Keys that SEV-SNP anchors in.
public enum SNPRoots {
    /// SHA-256 of the SubjectPublicKeyInfo of each product's ARK, 32 bytes, one each.
    ///
    /// From the certificates that `kdsintf.amd.com/vcek/v1/{Milan,Genoa,Turin}/cert_chain` serves;
    /// the chains of VLEKs end in the same keys.
    public static let amd: [SNPProduct: [[UInt8]]] = [
        .milan: [pin("9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9")],
        .genoa: [pin("429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831")],
        .turin: [pin("4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08")],
    ]

    private static func pin(_ digits: String) -> [UInt8] {
        guard let bytes = Hex.decode(digits), bytes.count == 32 else {
            preconditionFailure("not a SHA-256 value")
        }
        return bytes
    }
}
