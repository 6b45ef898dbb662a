internal import Keys

/// The roots that NVIDIA Evidence anchors in, each as SHA-256 of its SubjectPublicKeyInfo.
public struct NVIDIARoots: Sendable {
    /// Of the certificates of devices, 32 bytes each.
    public let devices: [[UInt8]]
    /// Of the signers of reference manifests, 32 bytes each.
    public let manifests: [[UInt8]]

    /// Collects roots; an empty list trusts nothing.
    public init(devices: [[UInt8]], manifests: [[UInt8]]) {
        self.devices = devices
        self.manifests = manifests
    }

    /// NVIDIA's own: "NVIDIA Device Identity CA" and "NVIDIA CoRIM signing Root CA", as NVIDIA's
    /// attestation SDK (github.com/NVIDIA/nvtrust, github.com/NVIDIA/attestation-sdk) carries them.
    public static let nvidia = NVIDIARoots(
        devices: [pin("a90c4eb5acfd3e3d03a25db6a26b84f720ad0503196c627c21ddd48dd85b06a4")],
        manifests: [pin("dec1dc316477aa851eebdf51327ae9f864bc8d89254657ed1e7eb9168af1e1a3")]
    )

    private static func pin(_ digits: String) -> [UInt8] {
        guard let bytes = Hex.decode(digits), bytes.count == 32 else {
            preconditionFailure("not a SHA-256 value")
        }
        return bytes
    }
}
