internal import COpenSSL

/// A private key that signs: generated here, or provided by the operator.
///
/// The key lives in the library's memory only and is wiped when the object goes.
@safe public final class PrivateKey: @unchecked Sendable {
    /// The other half.
    public let publicKey: PublicKey

    // Immutable once made; OpenSSL locks what it caches inside, so the key may cross threads.
    private let key: OpaquePointer

    /// Generates a key on P-256, or on P-384.
    public static func generate(_ curve: PublicKey.Algorithm = .p256) throws(KeyError) -> PrivateKey
    {
        let name: String
        switch curve {
        case .p256: name = "P-256"
        case .p384: name = "P-384"
        case .rsa, .ed25519:
            throw KeyError(.unsupported, "private key: only EC keys are generated")
        }
        guard let made = unsafe ratel_EVP_EC_gen(name) else {
            throw KeyError(.library, "private key: generation failed")
        }
        return try unsafe PrivateKey(owning: made)
    }

    /// Reads an unencrypted PEM private key.
    public convenience init(pem: String) throws(KeyError) {
        defer { Library.clearErrors() }
        // 16 KiB: an RSA 8192 key in PKCS#8 PEM is 6.4 KiB; room for explanatory text.
        guard pem.utf8.count <= 16 * 1024 else {
            throw KeyError(.malformed, "private key: too long")
        }
        let bytes = Array(pem.utf8)
        guard let source = unsafe BIO_new_mem_buf(bytes, Int32(bytes.count)) else {
            throw KeyError(.library, "private key: no memory")
        }
        defer { unsafe BIO_free(source) }
        // An empty passphrase stands in for the library's prompt on the terminal.
        var empty: CChar = 0
        let made = unsafe PEM_read_bio_PrivateKey(source, nil, nil, &empty)
        guard let made = unsafe made else {
            throw KeyError(.malformed, "private key: not an unencrypted PEM private key")
        }
        try unsafe self.init(owning: made)
    }

    @unsafe private init(owning made: OpaquePointer) throws(KeyError) {
        guard unsafe EVP_PKEY_up_ref(made) == 1 else {
            unsafe EVP_PKEY_free(made)
            throw KeyError(.library, "private key: cannot be shared")
        }
        do throws(KeyError) {
            let copied = try unsafe PrivateKey.publicHalf(made)
            unsafe EVP_PKEY_free(made)
            publicKey = copied
        } catch {
            unsafe EVP_PKEY_free(made)
            unsafe EVP_PKEY_free(made)
            throw error
        }
        unsafe key = made
    }

    deinit { unsafe EVP_PKEY_free(key) }

    /// The library's key, borrowed for as long as this object lives.
    @unsafe public var handle: OpaquePointer { unsafe key }

    /// The SubjectPublicKeyInfo of the public half, DER.
    public var spki: [UInt8] { publicKey.spki }

    /// Signs with ECDSA: raw r ‖ s, 64 bytes on P-256 and 96 on P-384.
    public func signRaw(_ message: [UInt8], digest: Digest = .sha256) throws(KeyError) -> [UInt8] {
        guard let size = publicKey.coordinateSize else {
            throw KeyError(.unsupported, "signature: not an elliptic curve key")
        }
        let der = try sign(message, digest: digest)
        let parsed = unsafe Library.decode(
            der,
            { unsafe d2i_ECDSA_SIG(nil, $0, $1) },
            free: { unsafe ECDSA_SIG_free($0) }
        )
        guard let parsed = unsafe parsed else { throw KeyError(.library, "signature: malformed") }
        defer { unsafe ECDSA_SIG_free(parsed) }
        var raw = [UInt8](repeating: 0, count: 2 * size)
        let done = unsafe raw.withUnsafeMutableBufferPointer { output -> Bool in
            guard let base = output.baseAddress else { return false }
            return unsafe BN_bn2binpad(ECDSA_SIG_get0_r(parsed), base, Int32(size)) == Int32(size)
                && BN_bn2binpad(ECDSA_SIG_get0_s(parsed), base + size, Int32(size)) == Int32(size)
        }
        guard done else { throw KeyError(.library, "signature: malformed") }
        return raw
    }

    /// Signs `message`: a DER ECDSA-Sig-Value, or RSASSA-PKCS1-v1_5 for an RSA key.
    public func sign(_ message: [UInt8], digest: Digest = .sha256) throws(KeyError) -> [UInt8] {
        defer { Library.clearErrors() }
        let failed = KeyError(.library, "signature: signing failed")
        guard let context = unsafe EVP_MD_CTX_new() else { throw failed }
        defer { unsafe EVP_MD_CTX_free(context) }
        guard unsafe EVP_DigestSignInit(context, nil, digest.algorithm, nil, key) == 1 else {
            throw failed
        }
        // The first call gives an upper bound; a DER ECDSA signature may be shorter.
        var size = 0
        guard unsafe EVP_DigestSign(context, nil, &size, message, message.count) == 1 else {
            throw failed
        }
        var signature = [UInt8](repeating: 0, count: size)
        guard unsafe EVP_DigestSign(context, &signature, &size, message, message.count) == 1 else {
            throw failed
        }
        return Array(signature[..<size])
    }

    /// The key as unencrypted PEM, for a file that only this program reads.
    public func pem() throws(KeyError) -> String {
        defer { Library.clearErrors() }
        let failed = KeyError(.library, "private key: cannot be written")
        guard let sink = unsafe BIO_new(BIO_s_mem()) else { throw failed }
        defer { unsafe BIO_free(sink) }
        guard unsafe PEM_write_bio_PrivateKey(sink, key, nil, nil, 0, nil, nil) == 1 else {
            throw failed
        }
        // PKCS#8 of an RSA 8192 key is 6.4 KiB.
        var text = [UInt8](repeating: 0, count: 16 * 1024)
        let count = unsafe BIO_read(sink, &text, Int32(text.count))
        guard count > 0 else { throw failed }
        return String(decoding: text[..<Int(count)], as: UTF8.self)
    }

    // Through the encoding, so that the public object holds no private part.
    @unsafe private static func publicHalf(_ key: OpaquePointer) throws(KeyError) -> PublicKey {
        guard let spki = unsafe Library.encode({ unsafe i2d_PUBKEY(key, $0) }) else {
            throw KeyError(.library, "private key: has no public half")
        }
        return try PublicKey(spki: spki)
    }
}
