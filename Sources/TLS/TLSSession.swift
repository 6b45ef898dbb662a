public import Bytes
internal import COpenSSL
internal import Synchronization

/// One TLS connection without a socket: ciphertext in, plaintext out, and back.
///
/// Records go straight from and into pooled buffers. Every method is for the loop that owns the
/// connection.
@safe
public struct TLSSession: ~Copyable {
    /// Unique among the sessions of this process.
    public let channelID: UInt64

    private let ssl: OpaquePointer
    private let io: UnsafeMutablePointer<RecordIO>
    private let context: TLSContext

    private static let nextID = Atomic<UInt64>(1)

    /// Starts a session; `serverName` is sent by clients as SNI (RFC 6066 section 3).
    public init(_ context: TLSContext, serverName: String? = nil) throws(TLSError) {
        self.context = context
        channelID = TLSSession.nextID.add(1, ordering: .relaxed).oldValue
        guard let ssl = unsafe SSL_new(context.handle), let bio = unsafe BIO_new(RecordIO.method)
        else { throw TLSError.fromQueue("no TLS session") }
        unsafe self.ssl = ssl
        unsafe io = .allocate(capacity: 1)
        unsafe io.initialize(to: RecordIO())
        unsafe BIO_set_data(bio, io)
        unsafe BIO_set_init(bio, 1)
        unsafe SSL_set_bio(ssl, bio, bio)
        if context.side == .server {
            unsafe SSL_set_accept_state(ssl)
        } else {
            unsafe SSL_set_connect_state(ssl)
            if let serverName { unsafe ratel_SSL_set_tlsext_host_name(ssl, serverName) }
        }
    }

    deinit {
        unsafe SSL_free(ssl)
        unsafe io.pointee.spill?.deallocate()
        unsafe io.deallocate()
    }

    // MARK: Handshake

    /// How far the handshake is.
    public enum HandshakeProgress: Sendable {
        /// Everything of the input is used; more of the peer is needed.
        case wantsInput
        /// The output is full; send it and call again.
        case wantsOutput
        /// Done, and not objected to by the verifier.
        case complete(Handshake)
        /// Over; the output may hold an alert to send.
        case failed(TLSError)
    }

    /// Takes what the peer sent from `input` and appends what it must be sent to `output`.
    public mutating func handshake(
        _ input: inout Buffer?, into output: inout Buffer
    ) -> HandshakeProgress {
        openOutput(&output)
        if input != nil { openInput(&input!) }
        clearErrors()
        let status = unsafe SSL_do_handshake(ssl)
        let error = unsafe SSL_get_error(ssl, status)
        unsafe output.produced(io.pointee.outputUsed)
        if input != nil { unsafe input!.consume(io.pointee.inputUsed) }
        close()
        if status == 1 { return finishHandshake() }
        switch error {
        case SSL_ERROR_WANT_READ: return .wantsInput
        case SSL_ERROR_WANT_WRITE: return .wantsOutput
        default: return .failed(.fromQueue("the peer ended the handshake"))
        }
    }

    private func finishHandshake() -> HandshakeProgress {
        let handshake = handshakeFacts
        if context.side == .client, !context.protocols.isEmpty {
            // A server that chose nothing speaks HTTP/1.1, as all did before ALPN; one that chose
            // what was not offered speaks another protocol.
            let chosen = handshake.applicationProtocol ?? "http/1.1"
            guard context.protocols.contains(chosen) else {
                return .failed(
                    TLSError(
                        "the server chose no application protocol; expected "
                            + context.protocols.joined(separator: ", ")))
            }
        }
        do {
            try context.verifier.judge(handshake)
        } catch {
            return .failed(error)
        }
        return .complete(handshake)
    }

    // MARK: Application bytes

    /// How a call of `decrypt` ended.
    public enum ReadProgress: Sendable {
        /// Every whole record of the input is used.
        case wantsInput
        /// The plaintext buffer is full; call again when it is empty.
        case full
        /// The peer sent close_notify.
        case ended
        /// Over.
        case failed(TLSError)
    }

    /// Decrypts records from `input` into `plaintext` until one of them runs out.
    public mutating func decrypt(
        _ input: inout Buffer, into plaintext: inout Buffer
    ) -> ReadProgress {
        openInput(&input)
        defer {
            unsafe input.consume(io.pointee.inputUsed)
            close()
        }
        while plaintext.end < BufferPool.plaintextSize {
            clearErrors()
            let room = BufferPool.plaintextSize &- plaintext.end
            let count = unsafe SSL_read(
                ssl, plaintext.writePointer, Int32(truncatingIfNeeded: room))
            if count > 0 {
                plaintext.produced(Int(count))
                continue
            }
            switch unsafe SSL_get_error(ssl, count) {
            case SSL_ERROR_WANT_READ: return .wantsInput
            case SSL_ERROR_ZERO_RETURN: return .ended
            default: return .failed(.fromQueue("the TLS connection broke"))
            }
        }
        return .full
    }

    /// Encrypts one record's worth of `plaintext` into `output`, which must have room for it.
    ///
    /// Takes at most `BufferPool.plaintextSize` bytes; answers the error that ends the connection.
    public mutating func encrypt(
        _ plaintext: inout Buffer, into output: inout Buffer
    ) -> TLSError? {
        if hasSpill { takeSpill(into: &output) }
        openOutput(&output)
        clearErrors()
        let offered = min(plaintext.count, BufferPool.plaintextSize)
        let count = unsafe SSL_write(
            ssl, plaintext.readPointer, Int32(truncatingIfNeeded: offered))
        unsafe output.produced(io.pointee.outputUsed)
        close()
        guard count > 0 else { return .fromQueue("the TLS connection broke") }
        plaintext.consume(Int(count))
        return nil
    }

    /// Appends close_notify (RFC 8446 section 6.1) to `output`.
    public mutating func finish(into output: inout Buffer) {
        openOutput(&output)
        clearErrors()
        unsafe SSL_shutdown(ssl)
        unsafe output.produced(io.pointee.outputUsed)
        close()
        clearErrors()
    }

    /// Whether records wait that OpenSSL made while reading.
    public var hasSpill: Bool { unsafe io.pointee.spillCount > 0 }

    /// Moves those records to `output`; they precede anything encrypted later.
    public mutating func takeSpill(into output: inout Buffer) {
        guard let spill = unsafe io.pointee.spill, unsafe io.pointee.spillCount <= output.room
        else { return }
        let count = unsafe io.pointee.spillCount
        unsafe output.writePointer.copyMemory(from: spill, byteCount: count)
        output.produced(count)
        unsafe io.pointee.spillCount = 0
    }

    /// Forgets the thread's errors, so that what the next call leaves is its own.
    ///
    /// Clearing goes through 16 entries whether there are any or not, on the path of every token.
    @inline(__always)
    private func clearErrors() {
        if ERR_peek_error() != 0 { ERR_clear_error() }
    }

    // MARK: Facts

    /// TLS-Exporter (RFC 8446 section 7.5): `count` bytes; nil before the handshake is complete.
    public func export(label: String, context: [UInt8], count: Int) -> [UInt8]? {
        var secret = [UInt8](repeating: 0, count: count)
        let status = unsafe SSL_export_keying_material(
            ssl, &secret, count, label, label.utf8.count, context, context.count, 1)
        clearErrors()
        return status == 1 ? secret : nil
    }

    /// The certificate that this end presented in this handshake, DER; nil when it presented none.
    public var localCertificate: [UInt8]? {
        unsafe presentedCertificate.flatMap { unsafe TLSSession.der($0, i2d_X509) }
    }

    /// What the handshake agreed on; for after its end.
    public var handshakeFacts: Handshake {
        var name: UnsafePointer<UInt8>?
        var length: UInt32 = 0
        unsafe SSL_get0_alpn_selected(ssl, &name, &length)
        let peer = unsafe SSL_get1_peer_certificate(ssl)
        defer { unsafe X509_free(peer) }
        return unsafe Handshake(
            channelID: channelID,
            applicationProtocol: name.map {
                unsafe String(
                    decoding: UnsafeBufferPointer(start: $0, count: Int(length)), as: UTF8.self)
            },
            localKey: presentedCertificate.flatMap { unsafe TLSSession.publicKey(of: $0) },
            peerKey: peer.flatMap { unsafe TLSSession.publicKey(of: $0) },
            peerCertificate: peer.flatMap { unsafe TLSSession.der($0, i2d_X509) },
            peerChain: context.verifier.readsChain ? peerChain : [],
            cipherSuite: SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl))
                .map { unsafe String(cString: $0) } ?? "")
    }

    private var peerChain: [[UInt8]] {
        guard let chain = unsafe SSL_get_peer_cert_chain(ssl) else { return [] }
        // Web servers send two or three; a path may have eight.
        let count = unsafe min(ratel_sk_X509_num(chain), 10)
        return (0..<max(0, count)).compactMap { index in
            guard let certificate = unsafe ratel_sk_X509_value(chain, index) else { return nil }
            return unsafe TLSSession.der(certificate, i2d_X509)
        }
    }

    /// The certificate of this end, if it was sent.
    ///
    /// A client that was not asked for one has it all the same, and the peer has not seen it: what
    /// was signed in this handshake tells the two apart.
    private var presentedCertificate: OpaquePointer? {
        var type: CInt = 0
        guard unsafe SSL_get_signature_type_nid(ssl, &type) == 1 else { return nil }
        return unsafe SSL_get_certificate(ssl)
    }

    private static func publicKey(of certificate: OpaquePointer) -> [UInt8]? {
        guard let key = unsafe X509_get_X509_PUBKEY(certificate) else { return nil }
        return unsafe der(key, i2d_X509_PUBKEY)
    }

    private static func der(
        _ object: OpaquePointer,
        _ encode: (OpaquePointer?, UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>?) -> Int32
    ) -> [UInt8]? {
        let length = unsafe encode(object, nil)
        guard length > 0 else { return nil }
        return unsafe [UInt8](unsafeUninitializedCapacity: Int(length)) { storage, count in
            var next = storage.baseAddress
            count = unsafe Int(encode(object, &next))
        }
    }

    // MARK: Windows

    @inline(__always)
    private func openInput(_ input: inout Buffer) {
        unsafe io.pointee.input = input.readPointer
        unsafe io.pointee.inputCount = input.count
        unsafe io.pointee.inputUsed = 0
    }

    @inline(__always)
    private func openOutput(_ output: inout Buffer) {
        unsafe io.pointee.output = output.writePointer
        unsafe io.pointee.outputRoom = output.room
        unsafe io.pointee.outputUsed = 0
    }

    /// No window outlives the call it was opened for.
    @inline(__always)
    private func close() {
        unsafe io.pointee.input = nil
        unsafe io.pointee.inputCount = 0
        unsafe io.pointee.inputUsed = 0
        unsafe io.pointee.output = nil
        unsafe io.pointee.outputRoom = 0
        unsafe io.pointee.outputUsed = 0
    }
}
