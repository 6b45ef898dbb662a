/// An XML element: a value that no longer knows the text it came from.
public struct XMLElement: Sendable, Equatable {
    /// One attribute of an element.
    public struct Attribute: Sendable, Equatable {
        /// The local name.
        public let name: String
        /// The namespace; empty for none, as it is for most attributes.
        public let namespace: String
        /// The value, with references replaced.
        public let value: String
    }

    /// The local name.
    public let name: String
    /// The namespace; empty for none.
    public let namespace: String
    /// The attributes in their order, namespace declarations not among them.
    public let attributes: [Attribute]
    /// The elements directly inside, in their order.
    public let children: [XMLElement]
    /// The characters directly inside, in their order, elements left out.
    public let text: String

    /// The value of the attribute `name` in `namespace`, or `nil` if there is none.
    public func attribute(_ name: String, namespace: String = "") -> String? {
        attributes.first { $0.name == name && $0.namespace == namespace }?.value
    }

    /// The elements directly inside that have this name and this element's namespace.
    public func children(_ name: String) -> [XMLElement] {
        children.filter { $0.name == name && $0.namespace == namespace }
    }
}
