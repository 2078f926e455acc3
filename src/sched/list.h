/* SPDX-License-Identifier: MIT */
/* Doubly linked intrusive list with a head; the same layout as LIST_ENTRY. */
#ifndef UMN_LIST_H
#define UMN_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct umn_list {
    struct umn_list *next, *prev;
};

#define umn_container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define umn_list_for_each(pos, head)                                                               \
    for (struct umn_list *pos = (head)->next, *pos##_next = pos->next; pos != (head);              \
         pos = pos##_next, pos##_next = pos->next)

static inline void umn_list_init(struct umn_list *head)
{
    head->next = head->prev = head;
}
static inline bool umn_list_empty(const struct umn_list *head)
{
    return head->next == head;
}
static inline void umn_list_insert(struct umn_list *prev, struct umn_list *next,
                                   struct umn_list *node)
{
    node->prev = prev;
    node->next = next;
    prev->next = node;
    next->prev = node;
}
static inline void umn_list_add_head(struct umn_list *head, struct umn_list *node)
{
    umn_list_insert(head, head->next, node);
}
static inline void umn_list_add_tail(struct umn_list *head, struct umn_list *node)
{
    umn_list_insert(head->prev, head, node);
}
/* Leaves the node pointing at itself, so removing twice is harmless. */
static inline void umn_list_remove(struct umn_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = node;
}

#endif
