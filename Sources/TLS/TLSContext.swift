internal import COpenSSL
public import Keys

/// The key and certificates that one side presents.
public struct TLSIdentity: Sendable {
    /// The private key of the leaf.
    public let key: PrivateKey
    /// The leaf and then its issuers.
    public let certificates: [Certificate]

    /// Pairs a key with its certificates, leaf first.
    public init(key: PrivateKey, certificates: [Certificate]) {
        self.key = key
        self.certificates = certificates
    }
}

/// The settings that many sessions share: no tickets, no resumption, no early data, and TLS 1.3
/// alone on every connection that attests (`protocol.md`, TLS profile).
@safe
public final class TLSContext: @unchecked Sendable {
    /// Which end of the handshake a session made from it plays.
    public enum Side: Sendable { case server, client }

    /// What a connection is for.
    public enum Profile: Sendable {
        /// Peers that attest: TLS 1.3 alone.
        case attested
        /// Ordinary servers, such as those of collateral, and ordinary callers of a proxy: TLS 1.2
        /// with forward secrecy and an AEAD as well (RFC 9325 section 4.2), since not all of them
        /// speak 1.3.
        case web
    }

    /// Which end it plays.
    public let side: Side
    /// The protocols offered or accepted, best first.
    public let protocols: [String]
    /// What decides on peers.
    public let verifier: any PeerVerifier
    /// What its connections are for.
    public let profile: Profile
    /// Whether its records are padded.
    public let padding: RecordPadding

    let handle: OpaquePointer
    private let encodedProtocols: [UInt8]

    /// Makes a context; throws when OpenSSL refuses the identity.
    public init(
        side: Side, identity: TLSIdentity?, protocols: [String], verifier: any PeerVerifier,
        profile: Profile = .attested, padding: RecordPadding = .off
    ) throws(TLSError) {
        Recycler.install()
        self.side = side
        self.protocols = protocols
        self.verifier = verifier
        self.profile = profile
        self.padding = padding
        encodedProtocols = protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        let method = unsafe side == .server ? TLS_server_method() : TLS_client_method()
        guard let context = unsafe SSL_CTX_new(method) else {
            throw TLSError.fromQueue("no TLS context")
        }
        unsafe handle = context
        try applyProfile()
        if let identity { try present(identity) }
        demandPeer()
        negotiateProtocols()
    }

    deinit {
        unsafe SSL_CTX_free(handle)
    }

    private func applyProfile() throws(TLSError) {
        unsafe SSL_CTX_set_options(handle, UInt64(1) << 14 /* SSL_OP_NO_TICKET */)
        unsafe SSL_CTX_set_num_tickets(handle, 0)
        unsafe SSL_CTX_set_max_early_data(handle, 0)
        unsafe ratel_SSL_CTX_set_session_cache_mode(handle, Int(SSL_SESS_CACHE_OFF))
        unsafe SSL_CTX_set_quiet_shutdown(handle, 0)
        let suites =
            "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
        // The hybrid group exists from OpenSSL 3.5 on; older libraries refuse the whole list.
        let groups = unsafe ratel_SSL_CTX_set1_groups_list(handle, "X25519MLKEM768:X25519:P-256")
        let takesOlder = profile == .web && padding != .demanded
        let least = takesOlder ? TLS1_2_VERSION : TLS1_3_VERSION
        // For TLS 1.2 alone; the list is not used above it.
        let older = "ECDHE+AESGCM:ECDHE+CHACHA20"
        guard unsafe ratel_SSL_CTX_set_min_proto_version(handle, least) == 1,
            unsafe SSL_CTX_set_cipher_list(handle, older) == 1,
            unsafe ratel_SSL_CTX_set_max_proto_version(handle, TLS1_3_VERSION) == 1,
            unsafe SSL_CTX_set_ciphersuites(handle, suites) == 1,
            unsafe groups == 1 || ratel_SSL_CTX_set1_groups_list(handle, "X25519:P-256") == 1
        else { throw TLSError.fromQueue("the TLS profile is not supported by this OpenSSL") }
        ERR_clear_error()
        // A record goes out as it was handed over; the caller retries with the same window.
        unsafe ratel_SSL_CTX_set_mode(
            handle,
            Int(
                SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                    | SSL_MODE_RELEASE_BUFFERS))
        // On the context, since later versions of OpenSSL look at it when a session gets its keys.
        if padding != .off {
            unsafe SSL_CTX_set_record_padding_callback(handle, RecordPadding.callback)
        }
    }

    private func present(_ identity: TLSIdentity) throws(TLSError) {
        for (index, certificate) in identity.certificates.enumerated() {
            let status =
                unsafe index == 0
                ? SSL_CTX_use_certificate(handle, certificate.handle)
                : ratel_SSL_CTX_add1_chain_cert(handle, certificate.handle)
            guard status == 1 else { throw TLSError.fromQueue("a certificate was refused") }
        }
        guard unsafe SSL_CTX_use_PrivateKey(handle, identity.key.handle) == 1,
            unsafe SSL_CTX_check_private_key(handle) == 1
        else { throw TLSError.fromQueue("the private key does not belong to the certificate") }
    }

    /// Any certificate is let through here because its meaning is decided by Evidence; possession
    /// of its key is proved by CertificateVerify all the same.
    private func demandPeer() {
        let mode: Int32 =
            side == .client || verifier.demandsCertificate
            ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE
        unsafe SSL_CTX_set_verify(handle, mode, nil)
        unsafe SSL_CTX_set_cert_verify_callback(handle, { _, _ in 1 }, nil)
    }

    private func negotiateProtocols() {
        guard !protocols.isEmpty else { return }
        if side == .client {
            _ = unsafe SSL_CTX_set_alpn_protos(
                handle, encodedProtocols, UInt32(encodedProtocols.count))
            return
        }
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe SSL_CTX_set_alpn_select_cb(
            handle,
            { _, chosen, chosenLength, offered, offeredLength, context in
                let context = unsafe Unmanaged<TLSContext>.fromOpaque(context!)
                    .takeUnretainedValue()
                return unsafe context.choose(
                    from: offered!, length: offeredLength, into: chosen!, chosenLength!)
            }, context)
    }

    private func choose(
        from offered: UnsafePointer<UInt8>, length: UInt32,
        into chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>,
        _ chosenLength: UnsafeMutablePointer<UInt8>
    ) -> Int32 {
        var selected: UnsafeMutablePointer<UInt8>?
        let status = unsafe encodedProtocols.withUnsafeBufferPointer { ours in
            unsafe SSL_select_next_proto(
                &selected, chosenLength, ours.baseAddress, UInt32(ours.count), offered, length)
        }
        // RFC 7301 section 3.2: no overlap is a fatal no_application_protocol.
        guard status == OPENSSL_NPN_NEGOTIATED else { return SSL_TLSEXT_ERR_ALERT_FATAL }
        // `selected` points into `encodedProtocols`, whose storage OpenSSL may read after this
        // call; `offered` holds the same bytes and lives as long as the handshake.
        unsafe chosen.pointee = copyIntoOffer(selected!, chosenLength.pointee, offered, length)
        return SSL_TLSEXT_ERR_OK
    }

    private func copyIntoOffer(
        _ name: UnsafeMutablePointer<UInt8>, _ count: UInt8, _ offered: UnsafePointer<UInt8>,
        _ length: UInt32
    ) -> UnsafePointer<UInt8>? {
        let wanted = unsafe Array(UnsafeBufferPointer(start: name, count: Int(count)))
        var offset = 0
        while offset < Int(length) {
            let size = unsafe Int(offered[offset])
            let candidate = unsafe UnsafeBufferPointer(start: offered + offset + 1, count: size)
            if unsafe candidate.elementsEqual(wanted) { return unsafe offered + offset + 1 }
            offset += 1 + size
        }
        return nil
    }
}
