internal import Keys
internal import Logging
internal import RATS
internal import TLS

/// Presents a provided certificate anew when its files have changed, as who renews certificates
/// replaces files: connections that stand keep theirs, the next ones get the new one.
///
/// Files that cannot be used, such as a key that is not the certificate's yet, change nothing.
final class CertificateWatch: Sendable {
    private let source: ProvidedIdentity
    private let channel: Channel
    private let logger: Logger
    private let lastFailure = LastFailure()

    init(_ source: ProvidedIdentity, channel: Channel, logger: Logger) {
        self.source = source
        self.channel = channel
        self.logger = logger
    }

    /// Reads the files and presents what is in them if it is something else; blocks for the disk.
    func check(isAsked: Bool) {
        do {
            let identity = try source.load()
            guard identity.certificates.map(\.der) != channel.identity.current.chain.map(\.der)
            else {
                lastFailure.clear()
                if isAsked { logger.notice("the certificate is as it was") }
                return
            }
            try channel.identity.replace(identity)
            lastFailure.clear()
            let leaf = identity.certificates[0]
            logger.notice(
                "certificate replaced",
                metadata: [
                    "file": "\(source.certificatePath)", "subject": "\(leaf.subject)",
                    "sha256": "\(Hex.encode(Digest.sha256(leaf.der)))",
                ])
        } catch {
            fail("\(error)", isAsked)
        }
    }

    private func fail(_ why: String, _ isAsked: Bool) {
        guard lastFailure.isToTell(why, isAsked: isAsked) else { return }
        logger.error(
            "the certificate was not replaced; the old one stays",
            metadata: ["file": "\(source.certificatePath)", "why": "\(why)"])
    }
}
