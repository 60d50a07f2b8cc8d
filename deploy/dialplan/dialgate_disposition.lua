-- dialgate: sets the channel variable dialgate_disposition to DNC when dialgate
-- refused the call for good. Called after bridge; read README.md first.
--
-- The phrase is the one of the status line. mod_sofia puts it on the channel
-- that called (sip_hangup_phrase); the status is that of the last bridge.

local function variable(name)
  return session:getVariable(name) or ""
end

local status = variable("last_bridge_proto_specific_hangup_cause"):match("^sip:(%d+)$") or variable("sip_term_status")
local phrase = variable("sip_hangup_phrase")
if phrase == "" then
  phrase = variable("sip_invite_failure_phrase")
end

if phrase == "Do Not Call" and (status == "603" or status == "403") then
  session:setVariable("dialgate_disposition", "DNC")
  -- What a do-not-call disposition is here, your dialer knows: it finds the
  -- variable in the CDR as variable_dialgate_disposition.
  session:consoleLog("notice", "dialgate refused the call for good\n")
end
