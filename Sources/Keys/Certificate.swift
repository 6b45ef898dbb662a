internal import Bytes
internal import COpenSSL

/// An X.509 certificate, RFC 5280.
@safe public final class Certificate: @unchecked Sendable {
    /// The DER encoding, exactly as it was given.
    public let der: [UInt8]
    /// The key that the certificate speaks for.
    public let publicKey: PublicKey
    /// The distinguished name of the subject, one line, RFC 2253; may be empty.
    public let subject: String
    /// The distinguished name of the issuer, one line, RFC 2253.
    public let issuer: String
    /// The serial number, big-endian without leading zeros.
    public let serial: [UInt8]
    /// The first second of validity, Unix time.
    public let notBefore: Int64
    /// The last second of validity, Unix time.
    public let notAfter: Int64
    /// Whether basicConstraints say that this is a certification authority.
    public let isAuthority: Bool

    // Immutable once made; OpenSSL locks what it caches inside, so it may cross threads.
    let certificate: OpaquePointer
    // Worked out once: a root stands in many chains.
    private let selfSigned = Locked<Bool?>(nil)

    /// Reads one DER certificate with no trailing bytes, of at most 256 KiB.
    ///
    /// The limit carries a leaf certificate with a whole collection of Evidence in an extension
    /// (GPU Evidence with its chains is the largest, below 200 KiB for eight).
    public init(der: [UInt8]) throws(KeyError) {
        guard der.count <= 256 * 1024 else { throw KeyError(.malformed, "certificate: too long") }
        let made = unsafe Library.decode(
            der,
            { unsafe d2i_X509(nil, $0, $1) },
            free: { unsafe X509_free($0) }
        )
        guard let made = unsafe made else {
            throw KeyError(.malformed, "certificate: not strictly one DER certificate")
        }
        do throws(KeyError) {
            guard unsafe Library.encode({ unsafe i2d_X509(made, $0) }) == der else {
                throw KeyError(.malformed, "certificate: not DER")
            }
            guard let key = unsafe X509_get_pubkey(made) else {
                throw KeyError(.unsupported, "certificate: unreadable public key")
            }
            // The certificate's own encoding, which is DER as the whole is.
            let encoded = unsafe X509_get_X509_PUBKEY(made).flatMap { info in
                unsafe Library.encode { unsafe i2d_X509_PUBKEY(info, $0) }
            }
            publicKey = try unsafe PublicKey(owning: key, encoded: encoded)
            notBefore = try unsafe Certificate.time(X509_get0_notBefore(made))
            notAfter = try unsafe Certificate.time(X509_get0_notAfter(made))
        } catch {
            unsafe X509_free(made)
            Library.clearErrors()
            throw error
        }
        subject = unsafe Certificate.name(X509_get_subject_name(made))
        issuer = unsafe Certificate.name(X509_get_issuer_name(made))
        serial = unsafe Certificate.serial(X509_get0_serialNumber(made))
        isAuthority = unsafe X509_get_extension_flags(made) & UInt32(EXFLAG_CA) != 0
        unsafe certificate = made
        self.der = der
    }

    deinit { unsafe X509_free(certificate) }

    /// Reads the certificate at the front of `bytes`, with nothing but padding behind it.
    ///
    /// TPM NV indices are often larger than the certificate and filled with 0x00 or 0xFF.
    public convenience init(padded bytes: [UInt8]) throws(KeyError) {
        guard bytes.count > 4, bytes[0] == 0x30, bytes[1] == 0x82 else {
            throw KeyError(.malformed, "certificate: not DER")
        }
        let end = 4 + Int(bytes[2]) << 8 + Int(bytes[3])
        guard end <= bytes.count, bytes[end...].allSatisfy({ $0 == 0 || $0 == 0xFF }) else {
            throw KeyError(.malformed, "certificate: cut short, or bytes behind it")
        }
        try self.init(der: Array(bytes[..<end]))
    }

    /// Every certificate in a PEM text, at least one and at most `limit`.
    public static func read(pem: String, limit: Int = 64) throws(KeyError) -> [Certificate] {
        try read(pem: Array(pem.utf8), limit: limit)
    }

    /// The same of a text's bytes.
    public static func read(pem: [UInt8], limit: Int = 64) throws(KeyError) -> [Certificate] {
        if let known = CertificateMemory.certificates(pem), known.count <= limit { return known }
        // A bundle of manufacturers' roots has some tens; a web bundle is a mistake here.
        let blocks = try PEM.decode(pem, label: "CERTIFICATE", limit: limit)
        guard !blocks.isEmpty else { throw KeyError(.malformed, "certificate: no PEM block") }
        var certificates: [Certificate] = []
        for block in blocks { certificates.append(try CertificateMemory.certificate(block)) }
        CertificateMemory.keep(certificates, pem: pem)
        return certificates
    }

    /// The library's certificate, borrowed for as long as this object lives.
    @unsafe public var handle: OpaquePointer { unsafe certificate }

    /// The issuer's common name, for people: the whole name is what identifies it.
    public var issuerCommonName: String? {
        issuer.split(separator: ",").first { $0.hasPrefix("CN=") }.map { String($0.dropFirst(3)) }
    }

    /// The SubjectPublicKeyInfo, DER.
    public var spki: [UInt8] { publicKey.spki }

    /// The PEM block.
    public var pem: String { PEM.encode(der, label: "CERTIFICATE") }

    /// The content of the only extension with this object identifier, else `nil`.
    ///
    /// Twice the same extension is no extension: RFC 5280 section 4.2 forbids it.
    public func `extension`(_ dotted: String) -> [UInt8]? {
        guard let identifier = unsafe OBJ_txt2obj(dotted, 1) else { return nil }
        defer { unsafe ASN1_OBJECT_free(identifier) }
        // -1 where there is none, for which the library gives no extension.
        let index = unsafe X509_get_ext_by_OBJ(certificate, identifier, -1)
        guard unsafe X509_get_ext_by_OBJ(certificate, identifier, index) < 0,
            let found = unsafe X509_get_ext(certificate, index),
            let data = unsafe X509_EXTENSION_get_data(found)
        else { return nil }
        return unsafe Certificate.bytes(data)
    }

    /// Whether extKeyUsage is there and names `dotted` (RFC 5280 section 4.2.1.12); `any` does not.
    public func hasExtendedKeyUsage(_ dotted: String) -> Bool {
        guard let list = `extension`("2.5.29.37") else { return false }
        let wanted = DER.objectIdentifier(dotted)
        var outer = DERReader(list)
        guard var usages = try? outer.next(0x30).inside, outer.isAtEnd else { return false }
        while !usages.isAtEnd {
            guard let usage = try? usages.next(0x06) else { return false }
            if DER.tagged(0x06, usage.content) == wanted { return true }
        }
        return false
    }

    /// Whether the certificate is signed by its own key.
    public var isSelfSigned: Bool {
        selfSigned.withLock { known in
            if let known { return known }
            defer { Library.clearErrors() }
            let isSigned = unsafe X509_self_signed(certificate, 1) == 1
            known = isSigned
            return isSigned
        }
    }

    @unsafe private static func bytes(_ string: UnsafePointer<ASN1_STRING>) -> [UInt8] {
        let count = unsafe Int(ASN1_STRING_length(string))
        guard let start = unsafe ASN1_STRING_get0_data(string) else { return [] }
        return unsafe Array(UnsafeBufferPointer(start: start, count: count))
    }

    @unsafe private static func serial(_ number: UnsafePointer<ASN1_INTEGER>?) -> [UInt8] {
        guard let number = unsafe number else { return [] }
        return unsafe bytes(number)
    }

    @unsafe static func time(
        _ value: UnsafePointer<ASN1_TIME>?
    ) throws(KeyError) -> Int64 {
        var parts = unsafe tm()
        guard let value = unsafe value, unsafe ASN1_TIME_to_tm(value, &parts) == 1 else {
            throw KeyError(.malformed, "certificate: unreadable validity")
        }
        return unsafe Int64(timegm(&parts))
    }

    @unsafe static func name(_ name: OpaquePointer?) -> String {
        guard let name = unsafe name, let sink = unsafe BIO_new(BIO_s_mem()) else { return "" }
        defer { unsafe BIO_free(sink) }
        guard unsafe ratel_X509_NAME_print(sink, name) >= 0 else { return "" }
        var start: UnsafeMutablePointer<CChar>?
        let count = unsafe ratel_BIO_get_mem_data(sink, &start)
        guard let start = unsafe start else { return "" }
        let bytes = unsafe UnsafeRawBufferPointer(start: start, count: count)
        return unsafe String(decoding: bytes, as: UTF8.self)
    }
}
