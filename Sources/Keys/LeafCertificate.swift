internal import COpenSSL

/// Makes the self-signed certificates that carry Evidence; nobody is asked to trust the signature.
public enum LeafCertificate {
    /// One extension to put in.
    public struct Extension: Sendable {
        /// The object identifier, dotted.
        public let identifier: String
        /// Whether a reader that does not know it must refuse the certificate.
        public let isCritical: Bool
        /// The content of the extension's OCTET STRING.
        public let content: [UInt8]

        /// Describes one extension.
        public init(identifier: String, isCritical: Bool = false, content: [UInt8]) {
            self.identifier = identifier
            self.isCritical = isCritical
            self.content = content
        }
    }

    /// A certificate for `key`, signed by itself with SHA-256, valid from five minutes before
    /// `now` (clocks differ) until `lifetime` seconds after it.
    ///
    /// `names` are the DNS names in subjectAltName: `commonName` alone unless said. The serial
    /// number is 127 random bits, RFC 5280 section 4.1.2.2. `usages` go into extKeyUsage: TLS
    /// server and client unless said.
    public static func make(
        key: PrivateKey,
        commonName: String,
        names: [String]? = nil,
        now: Int64,
        lifetime: Int64,
        usages: [String] = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"],
        extensions: [Extension] = []
    ) throws(KeyError) -> Certificate {
        defer { Library.clearErrors() }
        let failed = KeyError(.library, "certificate: cannot be made")
        guard let made = unsafe X509_new() else { throw failed }
        defer { unsafe X509_free(made) }
        guard unsafe X509_set_version(made, 2) == 1, unsafe setSerial(made),
            unsafe ASN1_TIME_set(X509_getm_notBefore(made), time_t(now - 300)) != nil,
            unsafe ASN1_TIME_set(X509_getm_notAfter(made), time_t(now + lifetime)) != nil,
            unsafe X509_set_pubkey(made, key.handle) == 1,
            let name = unsafe X509_get_subject_name(made),
            unsafe X509_NAME_add_entry_by_txt(
                name,
                "CN",
                MBSTRING_UTF8,
                commonName,
                -1,
                -1,
                0
            ) == 1,
            unsafe X509_set_issuer_name(made, name) == 1
        else { throw failed }
        for part in standard(key: key, names: names ?? [commonName], usages: usages) + extensions {
            guard unsafe add(part, to: made) else { throw failed }
        }
        guard unsafe X509_sign(made, key.handle, EVP_sha256()) > 0,
            let der = unsafe Library.encode({ unsafe i2d_X509(made, $0) })
        else { throw failed }
        return try Certificate(der: der)
    }

    private static func standard(
        key: PrivateKey,
        names: [String],
        usages: [String]
    ) -> [Extension] {
        // SHA-256 of the key, cut to 20 bytes: RFC 7093 section 2, method 1.
        let identifier = Array(Digest.sha256(key.spki)[..<20])
        let alternatives = DER.sequence(names.map { DER.tagged(0x82, Array($0.utf8)) })
        return [
            // basicConstraints: not an authority. keyUsage: digitalSignature.
            Extension(identifier: "2.5.29.19", isCritical: true, content: DER.sequence([])),
            Extension(identifier: "2.5.29.15", isCritical: true, content: [3, 2, 7, 0x80]),
            Extension(
                identifier: "2.5.29.37",
                content: DER.sequence(usages.map(DER.objectIdentifier))
            ),
            Extension(identifier: "2.5.29.14", content: DER.octetString(identifier)),
            Extension(identifier: "2.5.29.17", content: alternatives),
        ]
    }

    @unsafe private static func add(_ part: Extension, to certificate: OpaquePointer) -> Bool {
        guard let identifier = unsafe OBJ_txt2obj(part.identifier, 1),
            let content = unsafe ASN1_OCTET_STRING_new()
        else { return false }
        defer {
            unsafe ASN1_OBJECT_free(identifier)
            unsafe ASN1_OCTET_STRING_free(content)
        }
        guard
            unsafe ASN1_OCTET_STRING_set(content, part.content, Int32(part.content.count)) == 1,
            let made = unsafe X509_EXTENSION_create_by_OBJ(
                nil,
                identifier,
                part.isCritical ? 1 : 0,
                content
            )
        else { return false }
        defer { unsafe X509_EXTENSION_free(made) }
        return unsafe X509_add_ext(certificate, made, -1) == 1
    }

    @unsafe private static func setSerial(_ certificate: OpaquePointer) -> Bool {
        var bytes = SecureRandom.bytes(16)
        bytes[0] = bytes[0] & 0x7F | 0x40
        guard let number = unsafe BN_bin2bn(bytes, Int32(bytes.count), nil) else { return false }
        defer { unsafe BN_free(number) }
        return unsafe BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nil
    }
}
