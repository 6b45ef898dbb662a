internal import COpenSSL

/// Paths that were found lately, each with the time for which it holds: authorities, their lists
/// and the certificates of known platforms come with every piece of Evidence.
///
/// A path depends on the certificates, lists and options, which the key covers byte for byte, and
/// on the time: it holds while each of its certificates and every list given is current.
enum ChainMemory {
    private struct Window {
        let from: Int64
        /// The first second at which it no longer holds.
        let until: Int64
    }

    /// Some hundred bytes each: the chains of the platforms of one large service.
    private static let kept: Remembered<Window> = VerificationMemory.memory(capacity: 1024)

    /// Whether the path of this key holds at `now`, as was found earlier.
    static func holds(_ key: [UInt8], at now: Int64) -> Bool {
        guard let window = kept.value(key) else { return false }
        return window.from <= now && now < window.until
    }

    /// Keeps the path that `context` found.
    @unsafe static func keep(_ key: [UInt8], _ context: OpaquePointer, lists: [RevocationList]) {
        var from = Int64.min
        var until = Int64.max
        let chain = unsafe X509_STORE_CTX_get0_chain(context)
        let count = unsafe ratel_sk_X509_num(chain)
        guard count > 0 else { return }
        for index in 0..<count {
            guard let certificate = unsafe ratel_sk_X509_value(chain, index),
                let begin = try? unsafe Certificate.time(X509_get0_notBefore(certificate)),
                let end = try? unsafe Certificate.time(X509_get0_notAfter(certificate))
            else { return }
            from = max(from, begin)
            until = min(until, end)
        }
        for list in lists {
            from = max(from, list.thisUpdate)
            until = min(until, list.nextUpdate ?? Int64.min)
            list.remember()
        }
        kept.keep(Window(from: from, until: until), for: key)
    }

    /// The key of a question: a hash over its parts, each with its length in front.
    static func key(
        _ leaf: Certificate, _ intermediates: [Certificate], _ anchors: [Certificate],
        _ options: CertificateChain.Options
    ) -> [UInt8] {
        var bytes: [UInt8] = [options.toleratesUnknownCriticalInLeaf ? 1 : 0]
        func append(_ part: [UInt8]) {
            for shift in stride(from: 56, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: part.count >> shift))
            }
            bytes += part
        }
        append(leaf.der)
        for group in [intermediates.map(\.der), anchors.map(\.der), options.revocationLists] {
            append([UInt8(truncatingIfNeeded: group.count)])
            for part in group { append(part) }
        }
        return Digest.sha256(bytes)
    }
}
