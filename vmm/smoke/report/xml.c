#include "smoke/report/xml.h"

#include <string.h>

#include "smoke/judge/text.h"

void smoke_xml_text(FILE *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		switch (text[i]) {
		case '&': fputs("&amp;", out); break;
		case '<': fputs("&lt;", out); break;
		case '>': fputs("&gt;", out); break;
		case '"': fputs("&quot;", out); break;
		default: fputc(text[i], out);
		}
	}
}

void smoke_xml_string(FILE *out, const char *s)
{
	char clean[1024];

	smoke_text_clean(s, clean, sizeof(clean));
	smoke_xml_text(out, clean, strlen(clean));
}
