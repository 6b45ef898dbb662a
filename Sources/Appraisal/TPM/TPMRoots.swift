internal import Keys

/// The roots of the clouds' certificates for attestation keys of virtual TPMs.
enum TPMRoots {
    /// SHA-256 of the SubjectPublicKeyInfo, 32 bytes each: Azure Virtual TPM Root Certificate
    /// Authority 2023, Microsoft RSA Devices Root CA 2021 (Azure's older ones), and the EK/AK CA
    /// Root of Google Cloud.
    static let clouds = [
        "5cbc52672ae101263c2976736044a964c1182ce9412c39937183baddcccb8cdf",
        "d61ed293962f1f6ceb26ea9ec1c5a8c6cab38e73671f27c22df90e47977707ff",
        "56a613f57126a385dd6949294e93b0b566f96ab0573be0c2368e6f5ca779831f",
    ].compactMap(Hex.decode)
}
