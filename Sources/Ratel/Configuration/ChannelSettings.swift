internal import Appraisal
internal import Attestation
internal import Keys
public import Logging
internal import Loop
internal import RATLS
internal import RATS
internal import TLS

/// What is written of each request.
public enum AccessLog: String, Sendable, CaseIterable {
    /// Nothing.
    case off
    /// Method, path without its query, status, sizes and times.
    case metadata
}

/// How logs look and what they hold.
public struct LoggingSettings: Sendable {
    /// Text or JSON.
    public var format: LineLogHandler.Format
    /// The least level written.
    public var level: Logger.Level
    /// What is written of each request.
    public var accessLog: AccessLog

    /// Collects the settings.
    public init(
        format: LineLogHandler.Format, level: Logger.Level, accessLog: AccessLog
    ) {
        self.format = format
        self.level = level
        self.accessLog = accessLog
    }

    /// For commands whose output is for people: errors alone.
    public static let quiet = LoggingSettings(format: .text, level: .error, accessLog: .off)

    /// A logger for the part that `label` names.
    public func logger(_ label: String) -> Logger {
        Logger(label: label) { [format, level] in
            LineLogHandler(label: $0, format: format, level: level)
        }
    }
}

/// A certificate chain and its key from files, for names that a public CA or SPIFFE vouches for.
public struct ProvidedIdentity: Sendable {
    /// PEM, leaf first.
    public var certificatePath: String
    /// PEM, not encrypted.
    public var keyPath: String

    /// Names the two files.
    public init(certificatePath: String, keyPath: String) {
        self.certificatePath = certificatePath
        self.keyPath = keyPath
    }

    func load() throws(ConfigurationError) -> TLSIdentity {
        // 1 MiB: a chain is some KiB.
        guard let chain = System.readFile(certificatePath, limit: 1 << 20) else {
            throw ConfigurationError("--tls-certificate: cannot read \(certificatePath)")
        }
        guard let key = System.readFile(keyPath, limit: 1 << 20) else {
            throw ConfigurationError("--tls-key: cannot read \(keyPath)")
        }
        do {
            let certificates = try Certificate.read(pem: String(decoding: chain, as: UTF8.self))
            guard !certificates.isEmpty else {
                throw ConfigurationError("--tls-certificate: no certificate in \(certificatePath)")
            }
            return TLSIdentity(
                key: try PrivateKey(pem: String(decoding: key, as: UTF8.self)),
                certificates: certificates)
        } catch let error as ConfigurationError {
            throw error
        } catch {
            // The library's words, never the file's.
            throw ConfigurationError("--tls-certificate or --tls-key: \(error)")
        }
    }
}

func makeIdentity(
    _ side: TLSContext.Side, _ protocols: [String], _ verifier: ChannelVerifier,
    _ attester: (any Attester)?, _ provided: ProvidedIdentity?,
    _ padding: RecordPadding = .off
) throws(ConfigurationError) -> ChannelIdentity {
    do {
        return try ChannelIdentity(
            side: side, protocols: protocols, verifier: verifier, attester: attester,
            provided: try provided?.load(), padding: padding)
    } catch let refusal as Refusal {
        throw ConfigurationError(refusal.description)
    } catch let error as ConfigurationError {
        throw error
    } catch {
        throw ConfigurationError("\(error)")
    }
}
