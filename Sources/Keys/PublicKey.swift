internal import COpenSSL

/// A public key, RSA or elliptic curve, from its SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
@safe public final class PublicKey: @unchecked Sendable {
    /// What kind of key this is.
    public enum Algorithm: Sendable, Hashable {
        /// ECDSA or ECDH over P-256 (secp256r1).
        case p256
        /// ECDSA or ECDH over P-384 (secp384r1).
        case p384
        /// Ed25519 (RFC 8032): in certificates of others alone, since no signature of that kind is
        /// checked by these methods.
        case ed25519
        /// RSA with a modulus of this many bits, 2048 to 8192.
        case rsa(bits: Int)
    }

    /// How an RSA signature is padded.
    public enum RSAPadding: Sendable {
        /// RSASSA-PKCS1-v1_5, RFC 8017 section 8.2.
        case pkcs1
        /// RSASSA-PSS with MGF1 of the same hash and any salt length, RFC 8017 section 8.1.
        case pss
    }

    /// The SubjectPublicKeyInfo, DER, exactly as it was given.
    public let spki: [UInt8]
    /// What kind of key this is.
    public let algorithm: Algorithm

    // Immutable once made; OpenSSL locks what it caches inside, so the key may cross threads.
    let key: OpaquePointer

    /// Reads a DER SubjectPublicKeyInfo that has no trailing bytes.
    public init(spki: [UInt8]) throws(KeyError) {
        if let (curve, point) = PublicKey.point(in: spki) {
            unsafe key = try PublicKey.key(curve, point)
            self.spki = spki
            algorithm = curve
            return
        }
        // 1 KiB holds an 8192-bit RSA key with its 38 bytes of framing; 64 spare.
        guard spki.count <= 1024 + 128 else { throw KeyError(.malformed, "public key: too long") }
        let made = unsafe Library.decode(
            spki,
            { unsafe d2i_PUBKEY(nil, $0, $1) },
            free: { unsafe EVP_PKEY_free($0) }
        )
        guard let made = unsafe made else {
            throw KeyError(.malformed, "public key: not a SubjectPublicKeyInfo")
        }
        // The library reads more encodings than one; only that which it writes is taken, so that
        // a hash of the bytes stands for the key.
        guard unsafe Library.encode({ unsafe i2d_PUBKEY(made, $0) }) == spki else {
            unsafe EVP_PKEY_free(made)
            throw KeyError(.malformed, "public key: not DER")
        }
        guard let algorithm = unsafe PublicKey.algorithm(of: made) else {
            unsafe EVP_PKEY_free(made)
            throw KeyError(.unsupported, "public key: not P-256, P-384 or RSA of 2048 to 8192 bits")
        }
        unsafe key = made
        self.spki = spki
        self.algorithm = algorithm
    }

    /// Takes over a reference to a key of the library; `encoded` is its SubjectPublicKeyInfo where
    /// it is at hand, since the library's encoder takes longer than checking a signature.
    @unsafe init(owning made: OpaquePointer, encoded: [UInt8]? = nil) throws(KeyError) {
        guard let algorithm = unsafe PublicKey.algorithm(of: made),
            let spki = unsafe encoded ?? Library.encode({ unsafe i2d_PUBKEY(made, $0) })
        else {
            unsafe EVP_PKEY_free(made)
            throw KeyError(.unsupported, "public key: not P-256, P-384 or RSA of 2048 to 8192 bits")
        }
        unsafe key = made
        self.spki = spki
        self.algorithm = algorithm
    }

    /// A P-256 or P-384 key from its affine coordinates, padded on the left as needed.
    public convenience init(curve: Algorithm, x: [UInt8], y: [UInt8]) throws(KeyError) {
        guard let (size, prefix) = PublicKey.prefixes[curve] else {
            throw KeyError(.unsupported, "public key: not of a curve with two coordinates")
        }
        guard x.count <= size, y.count <= size else {
            throw KeyError(.malformed, "public key: a coordinate is too long")
        }
        let zeros = [UInt8](repeating: 0, count: size)
        let point = zeros.dropFirst(x.count) + x + zeros.dropFirst(y.count) + y
        try self.init(spki: prefix + point)
    }

    /// An RSA key from its modulus and exponent, both big-endian.
    public convenience init(modulus: [UInt8], exponent: UInt32) throws(KeyError) {
        let bytes = (0..<4).map { UInt8(truncatingIfNeeded: exponent >> UInt32(24 - 8 * $0)) }
        let inner = DER.sequence([DER.integer(modulus), DER.integer(bytes)])
        try self.init(
            spki: DER.sequence([
                DER.sequence([DER.objectIdentifier("1.2.840.113549.1.1.1"), DER.null]),
                DER.bitString(inner),
            ])
        )
    }

    /// Reads one PEM block labelled PUBLIC KEY.
    public convenience init(pem: String) throws(KeyError) {
        let blocks = try PEM.decode(pem, label: "PUBLIC KEY")
        guard blocks.count == 1 else { throw KeyError(.malformed, "public key: not one PEM block") }
        try self.init(spki: blocks[0])
    }

    deinit { unsafe EVP_PKEY_free(key) }

    /// The library's key, borrowed for as long as this object lives.
    @unsafe public var handle: OpaquePointer { unsafe key }

    /// Whether `signature`, raw r ‖ s, is ECDSA by this key over `message`.
    public func verifies(
        raw signature: [UInt8],
        over message: [UInt8],
        digest: Digest = .sha256
    ) -> Bool {
        guard let size = coordinateSize, signature.count == 2 * size else { return false }
        let der = DER.sequence([
            DER.integer(Array(signature[..<size])), DER.integer(Array(signature[size...])),
        ])
        return verifies(der: der, over: message, digest: digest)
    }

    /// Whether `signature`, a DER ECDSA-Sig-Value, is ECDSA by this key over `message`.
    public func verifies(
        der signature: [UInt8],
        over message: [UInt8],
        digest: Digest = .sha256
    ) -> Bool {
        guard coordinateSize != nil else { return false }
        return verify(signature, message, digest, padding: nil)
    }

    /// Whether `signature` is an RSA signature by this key over `message`.
    public func verifies(
        rsa signature: [UInt8],
        over message: [UInt8],
        digest: Digest,
        padding: RSAPadding
    ) -> Bool {
        guard case .rsa = algorithm else { return false }
        let value = padding == .pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING
        return verify(signature, message, digest, padding: value)
    }

    /// The content of the subjectPublicKey BIT STRING (RFC 5280 section 4.1.2.7): the bare key.
    public var bare: [UInt8] {
        var outer = DERReader(spki)
        guard var inner = try? outer.next(0x30).inside, (try? inner.next(0x30)) != nil,
            let bits = try? inner.next(0x03)
        else { return [] }
        return Array(bits.content.dropFirst())
    }

    /// Bytes in one coordinate of the curve; `nil` for RSA and Ed25519.
    public var coordinateSize: Int? {
        switch algorithm {
        case .p256: 32
        case .p384: 48
        case .rsa, .ed25519: nil
        }
    }

    private func verify(
        _ signature: [UInt8],
        _ message: [UInt8],
        _ digest: Digest,
        padding: Int32?
    ) -> Bool {
        defer { Library.clearErrors() }
        guard let context = unsafe EVP_MD_CTX_new() else { return false }
        defer { unsafe EVP_MD_CTX_free(context) }
        var inner: OpaquePointer?
        guard
            unsafe EVP_DigestVerifyInit(context, &inner, digest.algorithm, nil, key) == 1
        else { return false }
        if let padding {
            guard unsafe EVP_PKEY_CTX_set_rsa_padding(inner, padding) == 1 else { return false }
        }
        return unsafe EVP_DigestVerify(
            context,
            signature,
            signature.count,
            message,
            message.count
        ) == 1
    }

    /// What stands before the coordinates in the only DER form of a key on the curve, with an
    /// uncompressed point (RFC 5480 section 2), and the bytes of a coordinate.
    private static let prefixes: [Algorithm: (size: Int, prefix: [UInt8])] = [
        .p256: (32, prefix("1.2.840.10045.3.1.7", size: 32)),
        .p384: (48, prefix("1.3.132.0.34", size: 48)),
    ]

    private static func prefix(_ curve: String, size: Int) -> [UInt8] {
        let whole = DER.sequence([
            DER.sequence([
                DER.objectIdentifier("1.2.840.10045.2.1"), DER.objectIdentifier(curve),
            ]),
            DER.bitString([4] + [UInt8](repeating: 0, count: 2 * size)),
        ])
        return Array(whole.dropLast(2 * size))
    }

    /// The uncompressed point in a key that is encoded as `prefixes` say; nil for all others.
    private static func point(in spki: [UInt8]) -> (Algorithm, [UInt8])? {
        for (curve, layout) in prefixes
        where spki.count == layout.prefix.count + 2 * layout.size
            && spki.starts(with: layout.prefix)
        {
            return (curve, Array(spki.suffix(2 * layout.size + 1)))
        }
        return nil
    }

    // Without the library's decoder, which takes longer than checking a signature.
    @unsafe private static func key(
        _ curve: Algorithm, _ point: [UInt8]
    ) throws(KeyError) -> OpaquePointer {
        defer { Library.clearErrors() }
        let name = curve == .p256 ? "prime256v1" : "secp384r1"
        guard let made = unsafe ratel_EVP_PKEY_from_point(name, point, point.count) else {
            throw KeyError(.malformed, "public key: not a point of its curve")
        }
        return unsafe made
    }

    @unsafe private static func algorithm(of key: OpaquePointer) -> Algorithm? {
        let bits = unsafe Int(EVP_PKEY_get_bits(key))
        switch unsafe ratel_EVP_PKEY_id(key) {
        case EVP_PKEY_RSA:
            return (2048...8192).contains(bits) ? .rsa(bits: bits) : nil
        case EVP_PKEY_EC:
            var name = [CChar](repeating: 0, count: 64)
            let found = unsafe name.withUnsafeMutableBufferPointer {
                unsafe EVP_PKEY_get_group_name(key, $0.baseAddress, $0.count, nil)
            }
            guard found == 1 else { return nil }
            let bytes = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            switch String(decoding: bytes, as: UTF8.self) {
            case "prime256v1": return .p256
            case "secp384r1": return .p384
            default: return nil
            }
        case EVP_PKEY_ED25519: return .ed25519
        default:
            return nil
        }
    }
}

extension PublicKey {
    /// Encrypts `secret` with RSAES-OAEP, one hash for label and MGF1, RFC 8017 section 7.1.
    public func encryptOAEP(
        _ secret: [UInt8],
        label: [UInt8],
        digest: Digest
    ) throws(KeyError) -> [UInt8] {
        defer { Library.clearErrors() }
        guard case .rsa(let bits) = algorithm else {
            throw KeyError(.unsupported, "OAEP: not an RSA key")
        }
        let failed = KeyError(.library, "OAEP: encryption failed")
        guard let context = unsafe EVP_PKEY_CTX_new(key, nil) else { throw failed }
        defer { unsafe EVP_PKEY_CTX_free(context) }
        guard unsafe EVP_PKEY_encrypt_init(context) == 1,
            unsafe EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1,
            unsafe EVP_PKEY_CTX_set_rsa_oaep_md(context, digest.algorithm) == 1,
            unsafe EVP_PKEY_CTX_set_rsa_mgf1_md(context, digest.algorithm) == 1
        else { throw failed }
        // The context takes the label over and frees it.
        guard let copy = unsafe CRYPTO_memdup(label, label.count, nil, 0),
            unsafe EVP_PKEY_CTX_set0_rsa_oaep_label(context, copy, Int32(label.count)) == 1
        else { throw failed }
        var output = [UInt8](repeating: 0, count: bits / 8)
        var size = output.count
        guard unsafe EVP_PKEY_encrypt(context, &output, &size, secret, secret.count) == 1 else {
            throw failed
        }
        return Array(output[..<size])
    }
}
