import FuzzSupport
import Glibc
import RATS

@testable import Appraisal
@testable import Keys

@main struct FuzzRIM {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// XML as it comes, canonicalised, and as a reference manifest.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = FuzzInput(start, count).bytes
    _ = try? ReferenceManifest(bytes, for: .gpu)
    guard let document = try? XMLDocument(bytes) else { return 0 }
    guard let canonical = try? document.canonical() else { return 0 }
    // Canonical text says the same, and is its own canonical text.
    guard let again = try? XMLDocument(canonical) else {
        require(canonical.count > XMLDocument.maxSize, "canonical text can be read")
        return 0
    }
    require(sorted(again.root) == sorted(document.root), "canonical text says the same")
    require((try? again.canonical()) == canonical, "canonical text is its own")
    let last = document.root.children.count - 1
    guard last >= 0 else { return 0 }
    _ = try? document.canonical(without: [last])
    _ = try? document.canonical(only: [last])
    return 0
}

/// Attributes have no order that means anything; canonical text puts them in one.
func sorted(_ element: XMLElement) -> XMLElement {
    XMLElement(
        name: element.name,
        namespace: element.namespace,
        attributes: element.attributes.sorted {
            ($0.namespace, $0.name) < ($1.namespace, $1.name)
        },
        children: element.children.map(sorted),
        text: element.text
    )
}
