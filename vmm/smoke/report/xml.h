/* xml.h - text into XML 1.0. */
#ifndef VMM_SMOKE_REPORT_XML_H
#define VMM_SMOKE_REPORT_XML_H

#include <stddef.h>
#include <stdio.h>

/* len bytes of clean text (text.h) as character data; as well between double quotes. */
void smoke_xml_text(FILE *out, const char *text, size_t len);

/* A string that need not be clean. */
void smoke_xml_string(FILE *out, const char *s);

#endif
