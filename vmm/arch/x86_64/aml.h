/*
 * aml.h - ACPI Machine Language, the part that a static DSDT needs (ACPI 6.3, chapter 20; the
 * resource descriptors of 6.4).
 *
 * Everything appends to a byte_writer. aml_begin_*() returns a mark that the matching aml_end*()
 * takes; what lies between them is the object's contents. Ends come in the reverse order of begins.
 */
#ifndef VMM_ARCH_X86_64_AML_H
#define VMM_ARCH_X86_64_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/byte_writer.h"

/*
 * Name(NAME, …): the object written next is its value. Every name is one segment of up to 4 of A-Z,
 * 0-9 and '_', not beginning with a digit.
 */
void aml_name(struct byte_writer *w, const char *name);

/* The shortest encoding of v. Up to 32 bits, since a DSDT of revision 2 needs no more here. */
void aml_integer(struct byte_writer *w, uint32_t v);

/*
 * A _HID (6.1.5): a compressed EISA ID for three capitals and four capital hexadecimal digits
 * ("PNP0501"), a string for anything else ("LNRO0005").
 */
void aml_hardware_id(struct byte_writer *w, const char *hid);

size_t aml_begin_scope(struct byte_writer *w, const char *name);
size_t aml_begin_device(struct byte_writer *w, const char *name);
size_t aml_begin_package(struct byte_writer *w, uint8_t elements);
void aml_end(struct byte_writer *w, size_t mark);

/* A resource template, in a buffer. */
size_t aml_begin_resources(struct byte_writer *w);
void aml_io(struct byte_writer *w, uint16_t port, uint8_t len); /* 16 bits decoded */
void aml_memory32(struct byte_writer *w, uint32_t gpa, uint32_t len);
void aml_interrupt_edge_high(struct byte_writer *w, uint32_t gsi); /* not shared */
void aml_end_resources(struct byte_writer *w, size_t mark);

#endif
