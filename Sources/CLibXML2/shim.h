// libxml2's parser, tree and canonicaliser, and inline functions for what Swift cannot say itself:
// a macro, a mutable global, and the callback that chooses the nodes to canonicalise.
#ifndef RATEL_CLIBXML2_H
#define RATEL_CLIBXML2_H
// Some builds of libxml2 convert with ICU, whose headers clash with those of Swift's own ICU; what
// depends on it are the last members of a structure that nothing here makes.
#include <libxml/xmlversion.h>
#undef LIBXML_ICU_ENABLED
#include <libxml/c14n.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <libxml/xmlIO.h>

static inline void ratel_xml_ignore(void *context, xmlErrorPtr error) {
    (void)context;
    (void)error;
}
// No network, no entities, no DTD, no messages: the caller has refused every `<!` already.
static inline xmlDocPtr ratel_xml_read(const unsigned char *bytes, int count) {
    xmlSetStructuredErrorFunc(NULL, ratel_xml_ignore);
    return xmlReadMemory(
        (const char *)bytes, count, NULL, "UTF-8",
        XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
}
static inline void ratel_xml_release(xmlChar *text) { xmlFree(text); }

struct ratel_xml_choice {
    const xmlNode *only;
    const xmlNode *without;
};
// A namespace node has no parent of its own: it is seen with the element that it is written on.
static inline int ratel_xml_chosen(void *context, xmlNodePtr node, xmlNodePtr parent) {
    const struct ratel_xml_choice *choice = (const struct ratel_xml_choice *)context;
    const xmlNode *at = node && node->type != XML_NAMESPACE_DECL ? node : parent;
    int inside = choice->only == NULL;
    for (; at; at = at->parent) {
        if (choice->without && at == choice->without) return 0;
        if (choice->only && at == choice->only) inside = 1;
    }
    return inside;
}
// Canonical XML 1.1 without comments of `only` (NULL: all) less `without`; NULL when it fails.
static inline xmlOutputBufferPtr ratel_xml_canonicalise(
    xmlDocPtr document, const xmlNode *only, const xmlNode *without) {
    struct ratel_xml_choice choice = {only, without};
    xmlOutputBufferPtr output = xmlAllocOutputBuffer(NULL);
    if (!output) return NULL;
    if (xmlC14NExecute(document, ratel_xml_chosen, &choice, XML_C14N_1_1, NULL, 0, output) < 0) {
        xmlOutputBufferClose(output);
        return NULL;
    }
    return output;
}
#endif
