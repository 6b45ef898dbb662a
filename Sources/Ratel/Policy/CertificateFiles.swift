internal import Appraisal
internal import Keys
internal import RATS

/// Certificates that a policy names, as PEM or as files of PEM, and what was read for them.
struct CertificateFiles {
    let read: (String) -> [UInt8]?
    /// The content of each file, in order: the policy's digest covers it.
    private(set) var filesRead: [[UInt8]] = []

    init(read: @escaping (String) -> [UInt8]?) { self.read = read }

    /// The certificates of a list of files or PEM texts, at least one.
    mutating func certificates(_ node: PolicyNode) throws(Refusal) -> [Certificate] {
        var certificates: [Certificate] = []
        for item in try node.items() {
            let pem = String(decoding: try content(item), as: UTF8.self)
            do throws(KeyError) {
                certificates += try Certificate.read(pem: pem)
            } catch {
                throw item.refusal(
                    "policy.value.refused",
                    expected: "PEM certificates",
                    got: error.description
                )
            }
        }
        return certificates
    }

    /// The keys of a list of key sets and PEM texts or files.
    mutating func verifierKeys(_ node: PolicyNode) throws(Refusal) -> VerifierKeys {
        var sets: [VerifierKeys] = []
        for item in try node.items() {
            do throws(Refusal) {
                sets.append(try VerifierKeys(parsing: try content(item)))
            } catch {
                guard error.code == "result.keys.malformed" else { throw error }
                throw item.refusal(
                    "policy.value.refused", expected: error.expected, got: error.got)
            }
        }
        return VerifierKeys(sets)
    }

    /// The PEM that stands at a place, or the content of the file that it names.
    mutating func content(_ item: PolicyNode) throws(Refusal) -> [UInt8] {
        let text = try item.text()
        if text.contains("-----BEGIN") { return Array(text.utf8) }
        guard let bytes = read(text) else {
            throw item.refusal(
                "policy.file.unreadable",
                expected: "a file that can be read, or PEM",
                got: text
            )
        }
        filesRead.append(bytes)
        return bytes
    }

    /// The roots that a section trusts in place of the vendor's: at least one authority.
    mutating func roots(_ node: PolicyNode) throws(Refusal) -> [Certificate] {
        let roots = try certificates(node)
        guard !roots.isEmpty, roots.allSatisfy(\.isAuthority) else {
            throw node.refusal(
                "policy.roots",
                expected: "certificates of authorities",
                got: roots.first { !$0.isAuthority }?.subject ?? "none",
                remedy: "name the root certificates, or leave `roots` out to trust the vendor's"
            )
        }
        return roots
    }
}
