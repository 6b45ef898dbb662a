internal import Keys
internal import Loop
internal import RATS
internal import TLS

/// A certificate chain and its key, from files; equal where the files hold the same bytes.
public struct ServerCertificate: Sendable, Equatable {
    let identity: TLSIdentity
    /// Of both files.
    private let digest: [UInt8]

    init(identity: TLSIdentity, digest: [UInt8]) {
        self.identity = identity
        self.digest = digest
    }

    public static func == (left: ServerCertificate, right: ServerCertificate) -> Bool {
        left.digest == right.digest
    }
}

/// Certificates of authorities, from a file; equal where the file holds the same bytes.
public struct TrustedRoots: Sendable, Equatable {
    let certificates: [Certificate]
    private let digest: [UInt8]

    init(certificates: [Certificate], digest: [UInt8]) {
        self.certificates = certificates
        self.digest = digest
    }

    public static func == (left: TrustedRoots, right: TrustedRoots) -> Bool {
        left.digest == right.digest
    }
}

/// The files that a proxy's file names; paths in it are relative to its folder.
struct NamedFiles {
    let folder: String

    init(folder: String) { self.folder = folder }

    /// Of the folder in which the file at `path` lies.
    init(besideFile path: String) {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropLast()
        let isAtRoot = path.hasPrefix("/") && parts.count == 1
        folder = isAtRoot ? "/" : parts.joined(separator: "/")
    }

    /// 4 MiB: the web's authorities are some 150, 250 KiB; a chain is some KiB.
    private static let maxSize = 4 << 20

    /// Where the path in a file leads.
    func resolve(_ node: PolicyNode) throws(Refusal) -> String {
        let name = try node.text()
        return name.hasPrefix("/") || folder.isEmpty ? name : folder + "/" + name
    }

    func certificate(
        _ chain: PolicyNode, key: PolicyNode
    ) throws(Refusal) -> ServerCertificate {
        let chainBytes = try read(chain, as: "PEM certificates")
        let keyBytes = try read(key, as: "a PEM key")
        let certificates: [Certificate]
        do throws(KeyError) {
            certificates = try Certificate.read(pem: chainBytes)
        } catch {
            throw chain.refusal(
                "proxy.file.malformed", expected: "PEM certificates", got: error.description)
        }
        guard !certificates.isEmpty else {
            throw chain.refusal(
                "proxy.file.malformed", expected: "PEM certificates", got: "none")
        }
        do throws(KeyError) {
            let identity = TLSIdentity(
                key: try PrivateKey(pem: String(decoding: keyBytes, as: UTF8.self)),
                certificates: certificates)
            guard identity.key.spki == certificates[0].spki else {
                throw KeyError(.malformed, "the key of another certificate")
            }
            return ServerCertificate(
                identity: identity,
                digest: Digest.sha256(Digest.sha256(chainBytes) + Digest.sha256(keyBytes)))
        } catch {
            // The library's words, never the file's.
            throw key.refusal(
                "proxy.file.malformed", expected: "the certificate's key, as PEM",
                got: error.description)
        }
    }

    /// The authorities in a file, or those of the system for the word `system`.
    func roots(_ node: PolicyNode) throws(Refusal) -> TrustedRoots {
        let bytes: [UInt8]
        if try node.text() == "system" {
            let found = CollateralSettings.systemAuthorities.lazy.compactMap {
                System.readFile($0, limit: NamedFiles.maxSize)
            }.first
            guard let found else {
                throw node.refusal(
                    "proxy.file.unreadable", expected: "the system's authorities", got: "none",
                    remedy: "install ca-certificates, or name a file")
            }
            bytes = found
        } else {
            bytes = try read(node, as: "PEM certificates of authorities")
        }
        do throws(KeyError) {
            let certificates = try Certificate.read(pem: bytes, limit: 1_024)
            guard !certificates.isEmpty, certificates.allSatisfy(\.isAuthority) else {
                throw KeyError(.malformed, "certificates that are no authorities', or none")
            }
            return TrustedRoots(certificates: certificates, digest: Digest.sha256(bytes))
        } catch {
            throw node.refusal(
                "proxy.file.malformed", expected: "PEM certificates of authorities",
                got: error.description)
        }
    }

    private func read(_ node: PolicyNode, as what: String) throws(Refusal) -> [UInt8] {
        let path = try resolve(node)
        guard let bytes = System.readFile(path, limit: NamedFiles.maxSize) else {
            throw node.refusal(
                "proxy.file.unreadable", expected: what, got: "no file \(path) that can be read",
                remedy: "check the path and its permissions")
        }
        return bytes
    }
}
