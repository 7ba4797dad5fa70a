#include "commands/doctor.h"

/* The receivers of messages are named in .env. */
void doctor_check_webhooks(struct doctor *doctor)
{
    doctor_look_at(doctor, "webhooks");
}
